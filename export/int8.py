"""INT8 for an export: what it needs, calibration, and the quantised model with its description."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from yolact.calib.options import Int8Request
from yolact.calib.quantization_points import Target as Int8Target
from yolact.export.output import Target
from yolact.runtime.errors import UsageError
from yolact.runtime.metadata import ModelMetadata, Precision, Quantization

if TYPE_CHECKING:
    import onnx

    from yolact.calib.image_set import ImageSet
    from yolact.runtime.config import PostprocessConfig
    from yolact.training.models.model import Yolact

HALF_OPSET = 19
"""From here on QuantizeLinear and DequantizeLinear take fp16."""

FEW_IMAGES = 100
"""Below so many images ranges fit these rather than what the network will see."""


def choose_arithmetic(request: Int8Request, asked: Precision, target: Target) -> tuple[Int8Target, Precision]:
    """What INT8 is arranged for, and the precision of the rest: fp16 for TensorRT, fp32 for a CPU.

    Raises UsageError for a plan with INT8 for a CPU, and for half precision on a CPU.
    """
    int8_target = request.target or ("cpu" if target.tensorrt is None else "tensorrt")
    if int8_target == "cpu" and target.tensorrt is not None:
        raise UsageError("--int8-target cpu is for ONNX files; a plan needs --int8-target tensorrt")
    if int8_target == "cpu" and asked != "fp32":
        raise UsageError(f"--{asked} is for TensorRT; add --int8-target tensorrt, or leave it out for a CPU")
    return int8_target, "fp16" if int8_target == "tensorrt" and asked == "fp32" else asked


def check_opset(opset: int | None, precision: Precision) -> int | None:
    """The opset to export with. Raises UsageError for one that has no INT8 of this precision."""
    if precision != "fp16":
        return opset
    if opset is not None and opset < HALF_OPSET:
        raise UsageError(f"INT8 in an fp16 network needs opset {HALF_OPSET} or later, got {opset}")
    return opset or HALF_OPSET


def quantize(
    proto: onnx.ModelProto,
    model: Yolact,
    postprocess: PostprocessConfig,
    request: Int8Request,
    target: Int8Target,
    images: ImageSet,
) -> Quantization:
    """Quantise an exported model in place.

    Args:
        proto: in any precision.
        model, postprocess: that it was exported from.
        request: what the user asked.
        target: what it is for.
        images: to calibrate on.

    Raises:
        UsageError: the request does not fit the model, or the cache is stale.
        AccuracyError: an activation has no finite range.
        ImageError: a calibration image cannot be read.
    """
    from onnx import helper

    from yolact.calib.calibration import calibrate
    from yolact.calib.qdq import insert_pairs
    from yolact.calib.quantization_points import DEFAULT_MODULES, find_points
    from yolact.export.onnx_model import export_model

    modules = request.modules or DEFAULT_MODULES[target]
    points = find_points(proto, modules, request.exclude, target)
    ranges = calibrate(export_model(model, postprocess, weights_sha256="", graph="raw"), images, request.options)
    insert_pairs(proto, points, ranges, target)
    algorithm = request.options.algorithm
    done = Quantization(target, modules, request.exclude, algorithm, len(images), images.digest)
    metadata = ModelMetadata.from_props({entry.key: entry.value for entry in proto.metadata_props}, "the export")
    helper.set_model_props(proto, replace(metadata, quantization=done).to_props())
    return done
