"""Progress of long work, on stderr: a bar in a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

PERIOD_S = 30.0
"""Seconds between lines; work that takes less writes none."""


class ProgressBar(tqdm):  # type: ignore[misc]  # tqdm comes without types
    """A bar of tqdm, with its options. Where stderr is no terminal, it writes lines such as
    ``calibrating: 40/100 [00:31<00:46, 1.29 images/s]``.
    """

    def __init__(self, *arguments: Any, disable: bool = False, **options: Any) -> None:
        """`arguments`, `options`: as of tqdm. `disable`: show nothing anywhere."""
        self._in_lines = not sys.stderr.isatty()
        self._told = time.monotonic()
        if self._in_lines:
            options |= {"ncols": 0, "leave": False}
        super().__init__(*arguments, disable=disable, **options)

    def display(self, *arguments: Any, **options: Any) -> Any:
        """Show the present state; as a line only where the last one is long ago."""
        if not self._in_lines:
            return super().display(*arguments, **options)
        if time.monotonic() - self._told >= PERIOD_S:
            self._told = time.monotonic()
            self.fp.write(f"{self}\n")
            self.fp.flush()
        return True

    def clear(self, *arguments: Any, **options: Any) -> None:
        """Take the bar away for a while; lines stay."""
        if not self._in_lines:
            super().clear(*arguments, **options)

    def close(self) -> None:
        """Leave the bar, or take it away, as its options say."""
        if self._in_lines:
            self.sp = None  # there is no bar to take away
        super().close()
