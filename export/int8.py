"""INT8 in an export: platform and precision, opset, and quantising the exported model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from yolact.calib.options import Int8Request
from yolact.calib.quantization_points import Platform
from yolact.export.destination import Destination
from yolact.runtime.errors import UsageError
from yolact.runtime.metadata import ModelMetadata, Precision, Quantization

if TYPE_CHECKING:
    import onnx

    from yolact.calib.image_set import ImageSet
    from yolact.runtime.config import PostprocessConfig
    from yolact.training.models.model import Yolact

HALF_OPSET = 19
"""Oldest opset whose QuantizeLinear and DequantizeLinear take fp16."""

FEW_IMAGES = 100
"""With fewer calibration images, the ranges fit these images rather than those the network will see."""


def choose_arithmetic(request: Int8Request, asked: Precision, destination: Destination) -> tuple[Platform, Precision]:
    """The platform of INT8, and the precision of the rest: fp16 for TensorRT, fp32 for a CPU.

    Raises UsageError for a plan with INT8 for a CPU, and for half precision on a CPU.
    """
    platform = request.platform or ("cpu" if destination.tensorrt is None else "tensorrt")
    if platform == "cpu" and destination.tensorrt is not None:
        raise UsageError("--int8-platform cpu is for ONNX files; a plan needs --int8-platform tensorrt")
    if platform == "cpu" and asked != "fp32":
        raise UsageError(f"--{asked} is for TensorRT; add --int8-platform tensorrt, or leave it out for a CPU")
    return platform, "fp16" if platform == "tensorrt" and asked == "fp32" else asked


def check_opset(opset: int | None, precision: Precision) -> int | None:
    """The opset to export with. Raises UsageError for an opset without INT8 in a network of this precision."""
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
    platform: Platform,
    images: ImageSet,
) -> Quantization:
    """Quantise an exported model in place.

    Args:
        proto: the exported model, in any precision.
        model, postprocess: the model and settings that it was exported from.
        request: the options of the user.
        platform: the platform that will run the file.
        images: images to calibrate on.

    Raises:
        UsageError: the request does not fit the model, or the cache is stale.
        AccuracyError: an activation has no finite range.
        ImageError: a calibration image cannot be read.
    """
    from onnx import helper

    from yolact.calib.calibration import calibrate
    from yolact.calib.qdq import insert_qdq_pairs
    from yolact.calib.quantization_points import DEFAULT_MODULES, find_quantization_points
    from yolact.export.onnx_model import export_model

    modules = request.modules or DEFAULT_MODULES[platform]
    points = find_quantization_points(proto, modules, request.exclude, platform)
    ranges = calibrate(export_model(model, postprocess, weights_sha256="", graph="raw"), images, request.options)
    insert_qdq_pairs(proto, points, ranges, platform)
    algorithm = request.options.algorithm
    done = Quantization(platform, modules, request.exclude, algorithm, len(images), images.digest)
    metadata = ModelMetadata.from_proto(proto, "the export")
    helper.set_model_props(proto, replace(metadata, quantization=done).to_props())
    return done
