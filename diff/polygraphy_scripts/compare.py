"""For `polygraphy run --compare-func-script`: compares detections as sets, everything else by its relative error.

Polygraphy's own functions compare element by element, and find differences where two detections change places.

Environment:
    YOLACT_DIFF_LIMITS: JSON object with attributes of `diff.gates.Limits`; attributes left out have their defaults.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any

import numpy as np

from yolact.diff.detection_diff import DetectionTotals, compare_detections
from yolact.diff.gates import Limits, detection_gates, head_gates
from yolact.diff.polygraphy_comparator import TensorFigures
from yolact.runtime.contract import DETECTION_COEFFICIENTS, HEADS
from yolact.runtime.detections import Detections, in_image
from yolact.runtime.json_text import from_json
from yolact.runtime.postprocess.output_check import impossible
from yolact.runtime.postprocess.postprocess import NetworkDetections
from yolact.runtime.wording import printable

_DETECTIONS = ("num_detections", "boxes", "scores", "classes", "masks", "mask_scores")

_PIXELS_PER_CELL = 4  # at which masks are compared here: what the original image measured is not known any more


def compare_outputs(tested: Any, reference: Any) -> OrderedDict[str, bool]:
    """A verdict for each output of Polygraphy's IterationResults of one image; `num_detections` stands for the set.

    Layers are reported, but only heads and detections can fail.
    """
    limits = Limits(**from_json(os.environ.get("YOLACT_DIFF_LIMITS", "{}")))
    shared = [name for name in tested if name in reference and name not in (*_DETECTIONS, DETECTION_COEFFICIENTS)]
    names = [name for name in shared if np.asarray(tested[name]).dtype.kind == "f"]
    figures = TensorFigures(names)
    figures(tested, reference)
    verdicts = OrderedDict((name, True) for name in names)
    for diff in figures.diffs.values():
        errors = f"relative error {diff.relative:.3g}, cosine {diff.cosine:.6f}, largest {diff.max_abs:.3g}"
        print(f"{printable(diff.name)}: {errors}")
    gates = list(head_gates([diff for diff in figures.diffs.values() if diff.name in HEADS], limits))
    for gate, name in zip(gates, [name for name in names if name in HEADS], strict=True):
        verdicts[name] = gate.passed
    if all(name in result for name in _DETECTIONS[:5] for result in (tested, reference)):
        ours, theirs = _detections(tested), _detections(reference)
        totals = DetectionTotals.of(
            [compare_detections(ours, theirs, limits.score_threshold, limits.max_score_difference)]
        )
        of_set = list(detection_gates(totals, limits))
        print(f"detections: {totals.matched} matched, {totals.missed} missed, {totals.spurious} spurious")
        verdicts["num_detections"] = all(gate.passed for gate in of_set)
        gates += of_set
    for gate in gates:
        print(gate)
    return verdicts


def _detections(result: Any) -> Detections:
    count = int(np.asarray(result["num_detections"]).ravel()[0])
    boxes, scores, classes, masks = (np.asarray(result[name])[0, :count] for name in _DETECTIONS[1:5])
    mask_scores = np.asarray(result["mask_scores"])[0, :count] if "mask_scores" in result else None
    found = NetworkDetections(boxes, scores, classes, masks, mask_scores)
    bad = impossible(found, np.iinfo(np.int32).max)  # how many classes there are is not known here
    found = found[np.flatnonzero(~np.any([*bad.values()], axis=0))]
    return in_image(found, (masks.shape[1] * _PIXELS_PER_CELL, masks.shape[2] * _PIXELS_PER_CELL))
