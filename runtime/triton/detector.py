"""The detector's interface on a model that a Triton server runs."""

from __future__ import annotations

from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from yolact.runtime.detection_stream import StreamSource
from yolact.runtime.detector import Detector
from yolact.runtime.errors import UsageError
from yolact.runtime.images.image_files import read_image_file
from yolact.runtime.triton.address import TritonAddress
from yolact.runtime.triton.client import ImageFile, TritonEngine


class TritonDetector(Detector):
    """Finds instances in images with a model on a Triton server, as `Detector` does with an engine file.

    Examples:
        >>> with TritonDetector("grpc://localhost:8001/yolact") as detector:
        ...     print(detector("photo.jpg").select(score_threshold=0.15))

    Files are sent as they are and decoded by the server; arrays are sent as pixels. Several images, in a list or a
    stream, are requests that are in flight together.
    """

    sends_files = True

    def __init__(self, address: str | TritonAddress) -> None:
        """Connect to the model at an address. The extra `triton` brings the client library.

        Raises:
            UsageError: it is no such address.
            PackageMissing: the extra is not installed.
            YolactError: no server answers there, or it has no such model.
            EngineError: the model is none that `yolact-triton` wrote, or of another version of it.
        """
        if not isinstance(address, TritonAddress):
            address = TritonAddress.parse(address)
        super().__init__(TritonEngine(address))
        self._reopen = partial(TritonDetector, str(address))

    @classmethod
    def open(cls, path: str | Path, **options: Any) -> TritonDetector:
        """As `TritonDetector(path)`. Raises UsageError for the options of an engine file, which the server opened."""
        if options:
            raise UsageError(f"a model on a server takes no {', '.join(options)}; the server has opened its engine")
        return cls(str(path))

    def _load(self, source: StreamSource | ImageFile) -> Any:
        if isinstance(source, (str, PathLike)):
            return ImageFile(str(source), read_image_file(Path(source)))
        return source if isinstance(source, ImageFile) else super()._load(source)
