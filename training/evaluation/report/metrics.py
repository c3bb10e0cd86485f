"""The figures of a report as JSON, under the names that the page and the command print them by."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

import yolact
from yolact.runtime.bench.machine import describe_cpu
from yolact.runtime.file_digest import sha256_of
from yolact.training.evaluation.confusion import IOU
from yolact.training.evaluation.evaluate import Evaluation
from yolact.training.evaluation.report.findings import SIZE_EDGES, Findings, Subject
from yolact.training.evaluation.scores import RegionScores

SCHEMA = 1
"""Version of the JSON; it changes where a name changes its meaning."""

_PACKAGES = ("numpy", "opencv-python-headless", "opencv-python", "onnxruntime", "torch", "pycocotools")


def to_metrics(findings: Findings) -> dict[str, Any]:
    """All figures as JSON values. Average precision, precision and recall are percentages, as they are printed.

    Raises OSError where the model or the annotations cannot be read again.
    """
    subject, scores = findings.subject, findings.evaluation.scores
    return {
        "schema": SCHEMA,
        **_origin(subject),
        "postprocess": {**vars(subject.metadata.postprocess), "max_detections": subject.max_detections},
        "ap_name": scores.ap_words,
        "ap_max_detections": scores.max_detections,
        "box": _region(scores.box),
        "mask": _region(scores.mask),
        "classes": list(_classes(findings)),
        **_counts(findings),
        "calibration": _calibration(findings),
        "images": [
            {"file_name": image.file_name, "right": outcome.right, "wrong": outcome.wrong}
            for image, outcome in zip(subject.truth.images, findings.outcomes, strict=True)
        ],
        "speed": _speed(findings.evaluation),
        "versions": versions(),
        "options": list(subject.options),
    }


def percent(value: float | None) -> float | None:
    """A fraction as a percentage."""
    return None if value is None else 100 * value


def versions() -> dict[str, str]:
    """Versions of this package, of Python, and of the packages that ran."""
    found = {"yolact": yolact.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        module = "cv2" if package.startswith("opencv") else package
        try:
            if module in sys.modules:
                found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _origin(subject: Subject) -> dict[str, Any]:
    config, truth = subject.metadata.config, subject.truth
    return {
        "model": {
            "file": str(subject.model),
            "sha256": subject.model_sha256 or sha256_of(subject.model),
            "configuration": config.name,
            "types": subject.metadata.types,
            "image_size": config.image_size,
        },
        "annotations": {
            "file": str(truth.source),
            "sha256": sha256_of(truth.source),
            "images": len(truth.images),
            "objects": truth.count_objects().total(),
            "classes_paired_by": "name" if subject.pairs.by_name else "id",
            "classes_numbered_otherwise": subject.pairs.renumbered,
        },
    }


def _counts(findings: Findings) -> dict[str, Any]:
    """The figures of confusions, and the histograms."""
    return {
        "confusion": {
            "mask_iou": IOU,
            "score_threshold": findings.score_threshold,
            "category_ids": list(findings.confusion.ids),
            "counts": findings.confusion.counts.tolist(),
        },
        "sizes": {
            "lower_edges": list(SIZE_EDGES),
            "found": findings.sizes[:, 0].tolist(),
            "not_found": findings.sizes[:, 1].tolist(),
        },
        "scores": {
            "right": findings.score_counts[:, 0].tolist(),
            "wrong": findings.score_counts[:, 1].tolist(),
        },
    }


def _speed(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "detector_ms": evaluation.detector_ms,
        "mask_ms": evaluation.mask_ms,
        "images_per_second": evaluation.images_per_second,
        "processor": describe_cpu()["model"],
    }


def _region(scores: RegionScores) -> dict[str, Any]:
    names = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar")
    by_iou = {f"{0.5 + 0.05 * index:.2f}": percent(value) for index, value in enumerate(scores.ap_by_iou)}
    return {name: percent(getattr(scores, name)) for name in names} | {"ap_by_iou": by_iou}


def _classes(findings: Findings) -> Any:
    truth, scores, confusion = findings.subject.truth, findings.evaluation.scores, findings.confusion
    objects = truth.count_objects()
    for index, (id, name) in enumerate(truth.categories.items()):
        yield {
            "id": id,
            "name": name,
            "objects": objects[id],
            "box_ap": percent(scores.box.ap_by_category[id]),
            "mask_ap": percent(scores.mask.ap_by_category[id]),
            "precision": percent(confusion.precision(index)),
            "recall": percent(confusion.recall(index)),
        }


def _calibration(findings: Findings) -> dict[str, Any]:
    calibration = findings.calibration
    return {
        "expected_calibration_error": calibration.error,
        "counts": calibration.counts.tolist(),
        "mean_scores": _defined(calibration.mean_scores),
        "precisions": _defined(calibration.precisions),
    }


def _defined(values: NDArray[np.float64]) -> list[float | None]:
    """JSON has no NaN."""
    return [None if np.isnan(value) else float(value) for value in values]
