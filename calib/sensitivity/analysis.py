"""Analyses one ONNX file, from reading it to the report of `yolact-sensitivity`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from yolact.calib.calibration import calibrate
from yolact.calib.image_set import ImageSet
from yolact.calib.options import CalibrationOptions
from yolact.calib.quantization_points import QuantizationPoints
from yolact.calib.sensitivity.costs import CostMeasure, HeadDistance, MaskApLoss
from yolact.calib.sensitivity.ranking import Granularity, Int8Selection, find_parts, propose, quantised, rank
from yolact.calib.sensitivity.report import Report
from yolact.runtime.contract import PLUGIN_NAMESPACE
from yolact.runtime.errors import EngineError
from yolact.runtime.onnx.exported_model import ExportedModel, read_exported_model
from yolact.runtime.wording import count_noun

if TYPE_CHECKING:
    from yolact.training.data.ground_truth import GroundTruth


def read_unquantised(path: Path) -> ExportedModel:
    """An ONNX file that can be quantised.

    Raises:
        EngineError: it is another kind of file.
        YolactError: it cannot be read, or the onnx package is missing.
    """
    model = read_exported_model(path)
    graph, bodies = model.proto.graph, {function.name for function in model.proto.functions}
    if any(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in graph.node):
        raise EngineError(f"{path} is in INT8 already; give the file that yolact-export writes without --int8")
    if model.metadata.precision != "fp32":
        precision = model.metadata.precision
        raise EngineError(f"{path}: expected a file in fp32, got {precision}; export it again without --{precision}")
    if model.batch is not None:
        raise EngineError(
            f"{path}: expected a file for any number of images, got one for {model.batch}; export it again without "
            "--batch"
        )
    if any(node.domain == PLUGIN_NAMESPACE and node.op_type not in bodies for node in graph.node):
        raise EngineError(
            f"{path} was exported with --functions strip, for TensorRT with plugins only; export it again with "
            "--functions keep"
        )
    return model


def analyse(
    model: ExportedModel,
    selection: Int8Selection,
    by: Granularity,
    calibration: tuple[ImageSet, CalibrationOptions],
    measured_on: GroundTruth | ImageSet,
    limit: float | None,
) -> Report:
    """Calibrate, measure, rank and, where there is a limit, propose.

    Args:
        model: from `read_unquantised`.
        selection: the parts to quantise, in the model's own proto.
        by: the kind of parts to rank.
        calibration: images and options.
        measured_on: annotated images, where the cost is the mask AP lost, in points; else images on which the cost is
            the distance of the heads.
        limit: largest cost of all quantised parts together.

    Raises as `calibrate`, `MaskApLoss` and `HeadDistance`; UsageError where there is nothing to quantise.
    """
    parts = find_parts(selection, by)  # refused before the calibration rather than after
    ranges = calibrate(model.proto, *calibration)
    if isinstance(measured_on, ImageSet):
        cost: CostMeasure = HeadDistance(model.proto, measured_on)
        measured, decimals = "relative RMS change of the heads, the worst of four", 4
        basis = f"on {count_noun(len(measured_on), 'calibration image')}"
    else:
        cost = loss = MaskApLoss(model.proto, measured_on, limit)
        measured, decimals = "points of mask AP lost", 2
        on = f"on {count_noun(len(measured_on.images), 'image')} of {measured_on.source.name}"
        basis = "; ".join([f"{on}, where fp32 has a mask AP of {loss.reference:.2f}", *loss.pairs.notes()])

    def measure(points: QuantizationPoints) -> float:
        return cost(quantised(model.proto, points, ranges, selection.platform))

    ranking = rank(parts, measure)
    proposal = None if limit is None else propose(selection, ranking, measure, limit)
    basis += f"; calibrated on {count_noun(len(calibration[0]), 'image')}"
    return Report(model.metadata, selection, by, measured, basis, decimals, ranking, proposal)
