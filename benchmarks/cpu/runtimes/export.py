"""One network in every form that a runtime on a CPU takes."""

from __future__ import annotations

import importlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import onnx
import torch

from benchmarks.cpu.runtimes.files import Files
from benchmarks.networks import quantised
from yolact.calib.calibration import calibrate
from yolact.calib.image_set import ImageSet
from yolact.calib.options import CalibrationOptions
from yolact.calib.quantization_points import DEFAULT_MODULES
from yolact.export.onnx_model import export_model
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.contract import INPUT_NAME
from yolact.runtime.metadata import ModelMetadata
from yolact.training.models.model import Yolact

PNNX_SECONDS = 300


def write_files(
    model: Yolact, postprocess: PostprocessConfig, folder: Path, photos: ImageSet, *, ncnn: bool = True
) -> Files:
    """Export, quantise for a CPU as `yolact-export --int8` does, and convert for ncnn.

    Args:
        model: in evaluation mode.
        postprocess: built into the graphs.
        folder: exists.
        photos: to calibrate on.
        ncnn: convert for it, which takes a while.
    """
    options: dict[str, dict[str, Any]] = {"full": {}, "inlined": {"inline_functions": True}, "raw": {"graph": "raw"}}
    forms = {name: export_model(model, postprocess, weights_sha256="", **row) for name, row in options.items()}
    ranges = calibrate(forms["raw"], photos, CalibrationOptions())
    for name, proto in forms.items():
        onnx.save(proto, folder / f"{name}.onnx")
        onnx.save(quantised(proto, ranges, DEFAULT_MODULES["cpu"], "cpu"), folder / f"{name}-int8.onnx")
    torch.save(model.state_dict(), folder / "weights.pth")
    problems = {}
    if ncnn and (reason := convert_for_ncnn(forms["raw"], folder)):
        problems["raw.ncnn.param"] = reason
    return Files(folder, ModelMetadata.from_proto(forms["full"], "the export"), problems)


def convert_for_ncnn(raw: onnx.ModelProto, folder: Path) -> str | None:
    """Let pnnx write `raw.ncnn.param` and `.bin` into the folder. Returns the reason where it could not."""
    try:
        pnnx = importlib.import_module("pnnx")
    except ImportError:
        return "pnnx, which converts for ncnn, is not installed: pip install --no-deps pnnx"
    size = raw.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    work = folder / "pnnx"
    work.mkdir()
    onnx.save(with_float_input(raw), work / "raw.onnx")
    command = [pnnx.EXEC_PATH, "raw.onnx", f"inputshape=[1,{size},{size},3]f32", "fp16=0"]
    try:
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=PNNX_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"pnnx does not convert the raw graph: {error}"
    if not (work / "raw.ncnn.param").is_file():
        return f"pnnx does not convert the raw graph (exit code {done.returncode})"
    for suffix in ("param", "bin"):
        shutil.move(work / f"raw.ncnn.{suffix}", folder)
    shutil.rmtree(work)
    return None


def with_float_input(raw: onnx.ModelProto) -> onnx.ModelProto:
    """A copy for one image that takes its pixels as float32: ncnn has no uint8."""
    copy = onnx.ModelProto()
    copy.CopyFrom(raw)
    graph = copy.graph
    pixels = graph.input[0].type.tensor_type
    pixels.elem_type = onnx.TensorProto.FLOAT
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    cast = next(node for node in graph.node if node.op_type == "Cast" and node.input[0] == INPUT_NAME)
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == cast.output[0]:
                node.input[index] = INPUT_NAME
    graph.node.remove(cast)
    return copy
