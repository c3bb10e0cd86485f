"""Average precision from its definition, slowly: an oracle that shares no code and no data structure with pycocotools.

For one category, IoU threshold and range of areas: walk through the detections from the best to the worst, give each
the best object that is still free, and take at every recall the best precision that some cut-off reaches there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
EVERYTHING = (0.0, 1e10)
AREAS = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}


@dataclass
class Pair:
    """Objects and detections of one category in one image, detections best first."""

    objects: list[dict[str, Any]] = field(default_factory=list)
    detections: list[dict[str, Any]] = field(default_factory=list)
    iou: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))  # detections x objects


def pairs_of(
    truth: dict[str, Any], results: Sequence[dict[str, Any]], kind: str, image_ids: Sequence[int], most: int
) -> dict[int, list[Pair]]:
    """By category id, a pair for each image in ascending order, with the `most` best detections."""
    overlap = box_overlap if kind == "bbox" else mask_overlap
    by_category = {}
    for category in truth["categories"]:
        pairs: dict[int, Pair] = {image_id: Pair() for image_id in sorted(image_ids)}
        for entries, name in ((truth["annotations"], "objects"), (results, "detections")):
            for entry in entries:
                if entry["category_id"] == category["id"] and entry["image_id"] in pairs:
                    getattr(pairs[entry["image_id"]], name).append(entry)
        for pair in pairs.values():
            pair.detections = sorted(pair.detections, key=lambda entry: -entry["score"])[:most]
            regions = [[entry[kind] for entry in entries] for entries in (pair.detections, pair.objects)]
            if kind == "segmentation":
                regions = [[decode(rle) for rle in entries] for entries in regions]
            crowds = [entry["iscrowd"] for entry in pair.objects]
            theirs = list(zip(regions[1], crowds, strict=True))
            pair.iou = np.array([[overlap(ours, *other) for other in theirs] for ours in regions[0]])
        by_category[category["id"]] = list(pairs.values())
    return by_category


def box_overlap(box: Sequence[float], other: Sequence[float], crowd: int) -> float:
    """IoU of two boxes x, y, width, height; of a crowd, the part of the first box inside."""
    sides = [
        max(0.0, min(box[i] + box[i + 2], other[i] + other[i + 2]) - max(box[i], other[i])) for i in (0, 1)
    ]  # fmt: skip
    shared = sides[0] * sides[1]
    if shared == 0:
        return 0.0
    own = box[2] * box[3]
    return shared / (own if crowd else own + other[2] * other[3] - shared)


def mask_overlap(mask: np.ndarray, other: np.ndarray, crowd: int) -> float:
    shared = int((mask & other).sum())
    if shared == 0:
        return 0.0
    return shared / int(mask.sum() if crowd else (mask | other).sum())


def decode(rle: dict[str, Any]) -> np.ndarray:
    """COCO's run-length encoding, compressed or not, as a bool mask (H, W)."""
    runs = rle["counts"] if isinstance(rle["counts"], list) else _read_runs(rle["counts"])
    values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return values.reshape(rle["size"][::-1]).T


def _read_runs(text: str) -> list[int]:
    """Five bits a character, least first; a sixth says whether more follow; from the fourth run on, differences."""
    runs: list[int] = []
    value, shift = 0, 0
    for character in text:
        code = ord(character) - 48
        value += (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value, shift = 0, 0
    return runs


def curve(pairs: Sequence[Pair], threshold: float, area: tuple[float, float], kind: str) -> tuple[float, float] | None:
    """Average precision and recall, or None where there is no object to be found."""
    verdicts: list[tuple[float, bool]] = []  # score, right or wrong; in the order of the images
    wanted = 0
    for pair in pairs:
        counts = [not o["iscrowd"] and area[0] <= o["area"] <= area[1] for o in pair.objects]
        wanted += sum(counts)
        free = set(range(len(pair.objects)))
        for rank, detection in enumerate(pair.detections):
            fitting = [(pair.iou[rank, i], i) for i in free if pair.iou[rank, i] >= threshold]
            best = max([fit for fit in fitting if counts[fit[1]]] or fitting, default=None)
            if best is None:
                size = detection["bbox"][2] * detection["bbox"][3] if kind == "bbox" else _pixels(detection)
                if area[0] <= size <= area[1]:
                    verdicts.append((detection["score"], False))
                continue
            if not pair.objects[best[1]]["iscrowd"]:
                free.remove(best[1])
            if counts[best[1]]:
                verdicts.append((detection["score"], True))
    if wanted == 0:
        return None
    ranked = [right for _, right in sorted(verdicts, key=lambda verdict: -verdict[0])]
    points = [(sum(ranked[:n]) / wanted, sum(ranked[:n]) / n) for n in range(1, len(ranked) + 1)]
    precisions = [max((p for recall, p in points if recall >= wish), default=0.0) for wish in RECALLS]
    return float(np.mean(precisions)), points[-1][0] if points else 0.0


def _pixels(detection: dict[str, Any]) -> int:
    return int(decode(detection["segmentation"]).sum())


def measure(
    truth: dict[str, Any], results: Sequence[dict[str, Any]], kind: str, image_ids: Sequence[int], most: int = 100
) -> dict[str, Any]:
    """The same measures as `training.evaluation.scores.RegionScores`, by the names of its attributes."""
    by_category = pairs_of(truth, results, kind, image_ids, most)
    whole = {c: [curve(pairs, t, EVERYTHING, kind) for t in THRESHOLDS] for c, pairs in by_category.items()}
    measures: dict[str, Any] = {
        "ap": _mean(point for points in whole.values() for point in points),
        "ap_by_iou": tuple(_mean(points[i] for points in whole.values()) for i in range(len(THRESHOLDS))),
        "ap_by_category": {category: _mean(points) for category, points in whole.items()},
        "ar": _mean((point for points in whole.values() for point in points), value=1),
    }
    measures |= {"ap50": measures["ap_by_iou"][0], "ap75": measures["ap_by_iou"][5]}
    for name, area in AREAS.items():
        measures[f"ap_{name}"] = _mean(
            curve(pairs, t, area, kind) for pairs in by_category.values() for t in THRESHOLDS
        )
    return measures


def _mean(points: Any, value: int = 0) -> float | None:
    found = [point[value] for point in points if point is not None]
    return float(np.mean(found)) if found else None
