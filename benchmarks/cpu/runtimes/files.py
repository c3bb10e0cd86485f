"""Where the files of a network lie. Another module writes them, since most readers do without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from yolact.runtime.metadata import ModelMetadata


@dataclass(frozen=True)
class Files:
    """Where the files of a network lie.

    Attributes:
        folder: holds `full`, `inlined` and `raw` `.onnx`, the same with `-int8`, `raw.ncnn.param`, `weights.pth`.
        metadata: of the full graph.
        problems: the reason for each missing file, by its name.
    """

    folder: Path
    metadata: ModelMetadata
    problems: dict[str, str]

    def path(self, name: str) -> Path:
        """The path of one of the files. Raises RuntimeError with the reason where it could not be made."""
        if name in self.problems:
            raise RuntimeError(self.problems[name])
        return self.folder / name

    def metadata_of(self, name: str) -> ModelMetadata:
        """The metadata of one of the ONNX files."""
        return replace(self.metadata, graph="raw") if name.startswith("raw") else self.metadata
