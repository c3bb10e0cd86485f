"""The standard input as a video."""

from __future__ import annotations

import os

from yolact.runtime.errors import ImageError


class StandardInput:
    """Bytes as they come. It cannot be read twice, and stays open, as it belongs to the process."""

    failure: ImageError | None = None

    def read(self, size: int) -> bytes:
        return os.read(0, size)

    def close(self) -> None:
        pass
