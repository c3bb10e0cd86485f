"""Average precision of boxes and masks as pycocotools counts it, from detections and annotations in COCO's format.

The official code's own evaluation (eval.py) differs: it takes crowds for objects, leaves out images without detections
and compares IoUs in another precision, so its numbers are not those of COCO's server.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from yolact.training.data.ground_truth import load_pycocotools

if TYPE_CHECKING:
    from yolact.runtime.detections import Detections
    from yolact.runtime.images.mask_encoding import Rle

COCO_MAX_DETECTIONS = 100
"""Most detections of a category in an image that COCO's average precision counts, the best ones."""

Row = dict[str, Any]
"""One detection as COCO's result files have it."""


def ap_words(max_detections: int) -> str:
    """The name of average precision by so many detections, so that it is not taken for COCO's where it differs."""
    return "AP" if max_detections == COCO_MAX_DETECTIONS else f"AP with at most {max_detections} detections an image"


@dataclass(frozen=True)
class RegionDetails:
    """Curves and single detections behind the figures.

    Attributes:
        precision: (T, R, C) at each IoU threshold, recall (0 to 1 in hundredths) and category in the order of
            `ap_by_category`; NaN where a category has no object.
        scores, right: (D,) of all detections that count, whether they are right at IoU 0.5.
    """

    precision: NDArray[np.float64]
    scores: NDArray[np.float64]
    right: NDArray[np.bool_]


@dataclass(frozen=True)
class RegionScores:
    """COCO's measures of boxes or of masks, fractions of 1; None where no object defines them.

    Attributes:
        ap: average precision, the mean over categories and over IoU thresholds 0.50, 0.55 ... 0.95.
        ap50, ap75: at one threshold.
        ap_small, ap_medium, ap_large: of objects with less than 32x32, up to 96x96 and more pixels.
        ar: average recall, with as many detections of a category in an image as all the others have.
        ap_by_iou: over categories, for each threshold.
        ap_by_category: over thresholds, by category id; every category of the annotations is there.
        details: the values behind the figures.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    ar: float | None
    ap_by_iou: tuple[float | None, ...]
    ap_by_category: dict[int, float | None]
    details: RegionDetails = field(compare=False, repr=False)


@dataclass(frozen=True)
class Scores:
    """Measures of boxes and masks. Boxes are ranked by class scores; masks by mask scores where there are any.

    Attributes:
        box, mask: the measures.
        max_detections: how many of a category in an image count, the best ones; COCO has 100.
    """

    box: RegionScores
    mask: RegionScores
    max_detections: int = COCO_MAX_DETECTIONS

    @property
    def ap_words(self) -> str:
        """The name of the average precision, see `ap_words`."""
        return ap_words(self.max_detections)

    @property
    def ar_title(self) -> str:
        """The name of the average recall: ``AR100`` is COCO's."""
        return f"AR{self.max_detections}"


def scored_detections(kept: int) -> int:
    """The detections of a category in an image that count where so many of an image are kept: COCO's 100 or all."""
    return max(COCO_MAX_DETECTIONS, kept)


def to_results(found: Detections, image_id: int, category_ids: Sequence[int | None]) -> tuple[list[Row], list[Row]]:
    """Detections of one image as rows of COCO's result files.

    `category_ids` are those of the classes, None for a class that the annotations do not have; its detections are left
    out.

    Returns:
        Boxes ``{"image_id", "category_id", "bbox": [x, y, width, height] in pixels, "score"}`` and as many masks
        ``{"image_id", "category_id", "segmentation": compressed RLE, "score"}``, with the scores that rank them.
    """
    if None in category_ids:
        found = found[[index for index, id in enumerate(found.class_ids) if category_ids[id] is not None]]
    ids = [category_ids[class_id] for class_id in found.class_ids]
    return result_rows(image_id, ids, found.boxes, found.scores, found.ranking_scores, found.rle())


def result_rows(
    image_id: int,
    category_ids: Sequence[int | None],
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    ranking_scores: NDArray[np.float32],
    masks: Sequence[Rle],
) -> tuple[list[Row], list[Row]]:
    """As `to_results`, of the (D,) categories, (D, 4) boxes xyxy in pixels, (D,) scores and masks of one image."""
    # A diverged network gives NaN, which pycocotools takes for a match and JSON cannot express.
    corners, of_boxes, of_masks = (np.nan_to_num(array) for array in (boxes, scores, ranking_scores))
    corners[:, 2:] -= corners[:, :2]
    origins = [{"image_id": image_id, "category_id": id} for id in category_ids]
    box_rows = [
        {**origin, "bbox": box, "score": score}
        for origin, box, score in zip(origins, corners.tolist(), of_boxes.tolist(), strict=True)
    ]
    mask_rows = [
        {**origin, "segmentation": mask, "score": score}
        for origin, mask, score in zip(origins, masks, of_masks.tolist(), strict=True)
    ]
    return box_rows, mask_rows


def score_results(
    ground_truth: Mapping[str, Any],
    box_results: Iterable[Mapping[str, Any]],
    mask_results: Iterable[Mapping[str, Any]],
    image_ids: Iterable[int],
    max_detections: int = COCO_MAX_DETECTIONS,
) -> Scores:
    """Score detections as pycocotools' `COCOeval` does.

    Args:
        ground_truth: ``images``, ``categories`` and ``annotations`` as in an annotation file in COCO's format.
            ``iscrowd`` and ``area``, which COCO has and other tools may leave out, are 0 and the mask's if absent.
        box_results, mask_results: as in `Evaluation`. None of the arguments is changed.
        image_ids: images that count; annotations and results on others do not.
        max_detections: how many of a category in an image count, the best ones; only with 100 the figures are COCO's.

    Raises YolactError where pycocotools is not installed.
    """
    coco_class, evaluator_class, mask_module = load_pycocotools()
    ids = list(image_ids)

    def index(entries: Iterable[Row]) -> Any:
        return _indexed(coco_class(), {**ground_truth, "annotations": _numbered(entries)})

    def score(kind: str, results: Any) -> RegionScores:
        evaluator = evaluator_class(truth, results, kind)
        evaluator.params.imgIds, evaluator.params.maxDets = ids, [max_detections]
        evaluator.evaluate()
        evaluator.accumulate()
        return _region_scores(evaluator)

    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints what it is doing
        truth = index({**entry, "iscrowd": int(bool(entry.get("iscrowd")))} for entry in ground_truth["annotations"])
        for entry in truth.dataset["annotations"]:
            if not isinstance(entry.get("area"), int | float):
                entry["area"] = float(mask_module.area(truth.annToRLE(entry)))
        boxes = index({**row, "area": row["bbox"][2] * row["bbox"][3], "iscrowd": 0} for row in box_results)
        masks = index({**row, "area": mask_module.area(row["segmentation"]), "iscrowd": 0} for row in mask_results)
        return Scores(box=score("bbox", boxes), mask=score("segm", masks), max_detections=max_detections)


def _indexed(coco: Any, content: Mapping[str, Any]) -> Any:
    coco.dataset = content
    coco.createIndex()
    return coco


def _numbered(entries: Iterable[Row]) -> list[Row]:
    """The entries with ids from 1 on: an object with id 0, which other tools begin with, is never found by COCOeval."""
    return [{**entry, "id": number} for number, entry in enumerate(entries, 1)]


def _region_scores(evaluator: Any) -> RegionScores:
    """COCO's measures from what COCOeval accumulated, averaged as its `summarize` does, which only prints them."""
    # (IoU thresholds, recalls, categories, areas) with the most detections; -1 where there is no object.
    precision: NDArray[np.float64] = evaluator.eval["precision"][..., -1]
    recall: NDArray[np.float64] = evaluator.eval["recall"][..., -1]
    whole = precision[..., 0]
    by_iou = tuple(_mean(one) for one in whole)
    return RegionScores(
        ap=_mean(whole),
        ap50=by_iou[0],
        ap75=by_iou[5],
        ap_small=_mean(precision[..., 1]),
        ap_medium=_mean(precision[..., 2]),
        ap_large=_mean(precision[..., 3]),
        ar=_mean(recall[..., 0]),
        ap_by_iou=by_iou,
        ap_by_category={id: _mean(whole[:, :, k]) for k, id in enumerate(map(int, evaluator.params.catIds))},
        details=RegionDetails(np.where(whole < 0, np.nan, whole), *_verdicts(evaluator)),
    )


def _verdicts(evaluator: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores, and whether each is right at the first IoU threshold, of detections of all sizes outside of crowds."""
    everything = evaluator.params.areaRng[0]
    scores, right = [np.empty(0)], [np.empty(0, np.bool_)]
    for entry in evaluator.evalImgs:  # of a category, a range of areas and an image; None where there is nothing
        if entry is not None and entry["aRng"] == everything:
            counts = ~entry["dtIgnore"][0].astype(np.bool_)
            scores.append(np.asarray(entry["dtScores"], np.float64)[counts])
            right.append(entry["dtMatches"][0][counts] > 0)
    return np.concatenate(scores), np.concatenate(right)


def _mean(values: NDArray[np.float64]) -> float | None:
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else None
