"""The facts about an engine file that a model repository needs, found without a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from yolact.runtime.engine import EngineOptions
from yolact.runtime.engine_files import open_engine
from yolact.runtime.errors import EngineError
from yolact.runtime.file_digest import sha256_of
from yolact.runtime.input_files import no_file
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.tensorrt.plan_file import read_plan_header, read_sidecar, sidecar_of
from yolact.runtime.tensorrt.plan_pair import find_sidecar


@dataclass(frozen=True)
class EngineFacts:
    """The facts about an engine file that a repository needs.

    Attributes:
        path: of the file.
        sha256: digest of its contents.
        metadata: of the model.
        is_plan: whether it is a TensorRT plan; else it is an ONNX file.
        min_batch, max_batch: images per call; None for any number.
        plugins: of a plan, the plugins that it needs and that are not inside it.
        flavour: of a plan, the Python module of the TensorRT that built it.
        carries_code: of a plan, whether TensorRT would run code out of it.
    """

    path: Path
    sha256: str
    metadata: ModelMetadata
    is_plan: bool
    min_batch: int
    max_batch: int | None
    plugins: tuple[str, ...] = ()
    flavour: str = ""
    carries_code: bool = False

    @property
    def files(self) -> dict[str, Path]:
        """The files that go into a version's folder, by the name that they have there."""
        if not self.is_plan:
            return {self.file_name: self.path}
        sidecar = find_sidecar(self.path)
        assert sidecar is not None
        return {self.file_name: self.path, sidecar_of(Path(self.file_name)).name: sidecar}

    @property
    def file_name(self) -> str:
        """The name that Triton's own backends look for."""
        return "model.plan" if self.is_plan else "model.onnx"


def read_engine(path: Path) -> EngineFacts:
    """Open an ONNX file, or read the sidecar of a plan, which may be for a GPU of another machine.

    Raises EngineError for a file that is neither, does not keep the contract, or for a plan without its sidecar.
    """
    if not path.is_file():
        raise EngineError(f"{no_file(path, 'engine file')}; make one with yolact-export")
    if read_plan_header(path) is None:
        engine = open_engine(path, EngineOptions())
        try:
            return EngineFacts(path, sha256_of(path), engine.metadata, False, engine.min_batch, engine.max_batch)
        finally:
            engine.close()
    sidecar = find_sidecar(path)
    if sidecar is None:
        raise EngineError(
            f"{path} has no sidecar {sidecar_of(path).name}, which describes the plan; copy it there, or build the "
            "plan again with yolact-build"
        )
    plan, metadata = read_sidecar(sidecar)
    plugins = () if plan.plugins_embedded else plan.plugins
    return EngineFacts(
        path,
        sha256_of(path),
        metadata,
        is_plan=True,
        min_batch=plan.min_batch,
        max_batch=plan.max_batch,
        plugins=plugins,
        flavour=plan.flavour,
        carries_code=plan.version_compatible or plan.plugins_embedded,
    )
