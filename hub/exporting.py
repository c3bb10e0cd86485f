"""The export of weights that were given in place of an engine file, with the defaults of yolact-export."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yolact
from yolact.runtime.engine import DeviceChoice
from yolact.runtime.errors import YolactError
from yolact.runtime.file_digest import sha256_of
from yolact.runtime.json_text import to_json
from yolact.runtime.packages import PackageMissing

if TYPE_CHECKING:
    from yolact.runtime.tensorrt.flavour import TensorRt
    from yolact.runtime.wording import Say


class Export(NamedTuple):
    """An export that may have been made before.

    Attributes:
        weights: the checkpoint.
        tensorrt: the TensorRT that builds a plan of it, None for an ONNX file.
        gpu: the GPU that a plan is for.
    """

    weights: Path
    tensorrt: TensorRt | None
    gpu: str

    @property
    def file_name(self) -> str:
        """Name of the engine file: the checkpoint's with another suffix."""
        return f"{self.weights.stem}.{'onnx' if self.tensorrt is None else 'plan'}"

    @property
    def key(self) -> str:
        """Digest of the weights' contents and name, the configuration beside them, the tools' versions and the GPU."""
        beside = self.weights.with_suffix(".json")
        made_by = [yolact.__version__, str(self.tensorrt or "ONNX"), self.gpu]
        parts = [sha256_of(self.weights), self.weights.name, sha256_of(beside) if beside.is_file() else "", *made_by]
        return hashlib.sha256(to_json(parts).encode()).hexdigest()[:20]

    def make(self, folder: Path, note: Say) -> None:
        """Write the engine file into a folder, and say so in a line.

        Raises:
            PackageMissing: PyTorch or ONNX is not installed.
            YolactError: the weights cannot be loaded, or the export differs from PyTorch.
        """
        try:
            import onnx  # noqa: F401
            import torch  # noqa: F401
        except ModuleNotFoundError as error:
            raise PackageMissing(f"exporting {self.weights.name}", error.name, "export") from None
        note(f"exporting {self.weights.name}, which takes a while the first time")
        data = _export_onnx(self.weights, note)
        if self.tensorrt is None:
            (folder / self.file_name).write_bytes(data)
            return
        from yolact.engines.build_options import BuildOptions
        from yolact.engines.plan_output import write_plan
        from yolact.runtime.onnx.exported_model import parse_exported_model

        model, options = parse_exported_model(data, str(self.weights)), BuildOptions()
        command = ("yolact-export", "--weights", str(self.weights), "--output", self.file_name)
        write_plan(model, options, self.tensorrt, folder / self.file_name, command=command, say=_say_nothing, note=note)


def plan_export(weights: Path, device: DeviceChoice | None, *, only_onnx: bool = False) -> Export:
    """The export for this machine: a plan where one is allowed and can be built and run here, else an ONNX file.

    Args:
        weights: the checkpoint.
        device: the device to run on, None to choose; a plan runs on cuda only.
        only_onnx: whether the caller cannot use a plan.
    """
    if not only_onnx and (device is None or device.kind == "cuda"):
        from yolact.engines.build_options import BuildOptions
        from yolact.engines.builder_choice import choose_builder
        from yolact.runtime.cuda.gpu import find_gpu

        gpu = find_gpu(device.index if device else 0)
        if gpu is not None:
            try:
                return Export(weights, choose_builder(BuildOptions()), f"{gpu.name} {gpu.arch}")
            except YolactError:  # nothing builds plans here
                pass
    return Export(weights, None, "")


def _export_onnx(weights: Path, note: Say) -> bytes:
    from yolact.calib.options import CalibrationOptions, Int8Request
    from yolact.export.checkpoint_inputs import load_model, read_check_images
    from yolact.export.pipeline import ExportPipeline
    from yolact.runtime.config import PostprocessConfig

    model = load_model(weights, None, None, None)
    pipeline = ExportPipeline(model, PostprocessConfig(), sha256_of(weights), "full", "keep", None, None, "fp32", None)
    no_int8 = Int8Request(None, 0, CalibrationOptions(), None, None, (), ())
    return pipeline.run(read_check_images(()), None, no_int8, None, _say_nothing, note).SerializeToString()


def _say_nothing(line: str) -> None:
    """Drops the lines about an export that is only a step of another command."""
