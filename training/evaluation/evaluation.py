"""Average precision on annotations in COCO's format, through the runtime that deploys, as pycocotools counts it.

The official code's own evaluation (eval.py) differs: it takes crowds for objects, leaves out images without detections
and compares IoUs in another precision, so its numbers are not those of COCO's server.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from yolact.training.data.ground_truth import GroundTruth, check_categories, load_pycocotools, read_ground_truth

if TYPE_CHECKING:
    from yolact.runtime.detections import Detections
    from yolact.runtime.detector import Detector

Row = dict[str, Any]
"""One detection as COCO's result files have it."""


@dataclass(frozen=True)
class RegionScores:
    """COCO's measures of boxes or of masks, fractions of 1; None where no object defines them.

    Attributes:
        ap: average precision, the mean over categories and over IoU thresholds 0.50, 0.55 ... 0.95.
        ap50, ap75: at one threshold.
        ap_small, ap_medium, ap_large: of objects with less than 32x32, up to 96x96 and more pixels.
        ar100: average recall with at most 100 detections of a category in an image.
        ap_by_iou: over categories, for each threshold.
        ap_by_category: over thresholds, by category id; every category of the annotations is there.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    ar100: float | None
    ap_by_iou: tuple[float | None, ...]
    ap_by_category: dict[int, float | None]


@dataclass(frozen=True)
class Scores:
    """Measures of boxes and masks. Boxes are ranked by class scores; masks by mask scores where there are any."""

    box: RegionScores
    mask: RegionScores


@dataclass(frozen=True)
class Evaluation:
    """What a detector found in every image, how good that is and how long it took.

    Attributes:
        scores: see there.
        box_results, mask_results: see `to_results`; both in the order of the images.
        detector_ms: median milliseconds of an image from pixels in memory to detections; a batch is divided evenly.
        mask_ms: median milliseconds of an image from there to masks of its size in RLE.
    """

    scores: Scores
    box_results: list[Row]
    mask_results: list[Row]
    detector_ms: float
    mask_ms: float

    def server_results(self) -> list[Row]:
        """Box and mask of each detection in one row, as COCO's server takes them, with the score that ranks masks."""
        pairs = zip(self.box_results, self.mask_results, strict=True)
        return [{**mask, "bbox": box["bbox"]} for box, mask in pairs]


def evaluate(
    detector: Detector,
    annotations: Path,
    images: Path,
    *,
    limit: int | None = None,
    batch_size: int = 1,
    progress: bool = True,
) -> Evaluation:
    """Run a detector on annotated images and score what it finds.

    Args and errors: see `read_ground_truth`, `check_categories` and `evaluate_on`, which this does in turn.
    """
    truth = read_ground_truth(annotations, images, limit)
    check_categories(detector.metadata.config, truth)
    return evaluate_on(detector, truth, batch_size=batch_size, progress=progress)


def evaluate_on(detector: Detector, truth: GroundTruth, *, batch_size: int = 1, progress: bool = True) -> Evaluation:
    """Run a detector on every image and score what it finds.

    Args:
        detector: its configuration's category ids are those of the annotations; see `check_categories`.
        truth: images, also without annotations, and what is on them; may serve any number of evaluations.
        batch_size: images that the detector gets at a time.
        progress: show a bar on stderr where that is a terminal.

    Raises:
        DatasetError: an image has not the annotated size.
        ImageError: an image cannot be read.
    """
    box_results: list[Row] = []
    mask_results: list[Row] = []
    detector_ms, mask_ms = [], []
    ids = [image.id for image in truth.images]
    with tqdm(total=len(ids), unit=" images", leave=None, disable=None if progress else True) as bar:
        for first in range(0, len(ids), batch_size):
            batch = range(first, min(first + batch_size, len(ids)))
            images = [truth.read(index) for index in batch]
            start = time.perf_counter()
            found = detector(images)
            detector_ms += [_milliseconds_since(start) / len(batch)] * len(batch)
            for index, detections in zip(batch, found, strict=True):
                start = time.perf_counter()
                boxes, masks = to_results(detections, ids[index], detector.metadata.config.category_ids)
                mask_ms.append(_milliseconds_since(start))
                box_results += boxes
                mask_results += masks
            bar.update(len(batch))
    scores = score_results(truth.content, box_results, mask_results, ids)
    return Evaluation(scores, box_results, mask_results, median(detector_ms), median(mask_ms))


def to_results(found: Detections, image_id: int, category_ids: Sequence[int]) -> tuple[list[Row], list[Row]]:
    """Detections of one image as rows of COCO's result files; `category_ids` are those of the classes.

    Returns:
        Boxes ``{"image_id", "category_id", "bbox": [x, y, width, height] in pixels, "score"}`` and as many masks
        ``{"image_id", "category_id", "segmentation": compressed RLE, "score"}``, with the scores that rank them.
    """
    # Of a network gone astray: pycocotools takes NaN for a match, and JSON has no word for it.
    corners, scores, ranking = (np.nan_to_num(array) for array in (found.boxes, found.scores, found.ranking_scores))
    corners[:, 2:] -= corners[:, :2]
    origins = [{"image_id": image_id, "category_id": category_ids[class_id]} for class_id in found.class_ids]
    boxes = [
        {**origin, "bbox": box, "score": score}
        for origin, box, score in zip(origins, corners.tolist(), scores.tolist(), strict=True)
    ]
    masks = [
        {**origin, "segmentation": mask, "score": score}
        for origin, mask, score in zip(origins, found.rle(), ranking.tolist(), strict=True)
    ]
    return boxes, masks


def score_results(
    ground_truth: Mapping[str, Any],
    box_results: Iterable[Mapping[str, Any]],
    mask_results: Iterable[Mapping[str, Any]],
    image_ids: Iterable[int],
) -> Scores:
    """Score detections as pycocotools' `COCOeval` does.

    Args:
        ground_truth: ``images``, ``categories`` and ``annotations`` as in an annotation file in COCO's format.
            ``iscrowd`` and ``area``, which COCO has and other tools may leave out, are 0 and the mask's if absent.
        box_results, mask_results: as in `Evaluation`. None of the arguments is changed.
        image_ids: images that count; annotations and results on others do not.

    Raises YolactError where pycocotools is not installed.
    """
    coco_class, evaluator_class, mask_module = load_pycocotools()
    ids = list(image_ids)

    def index(entries: Iterable[Row]) -> Any:
        # Numbered from 1: to COCOeval an object with id 0, which other tools begin with, is never found.
        numbered = [{**entry, "id": number} for number, entry in enumerate(entries, 1)]
        coco = coco_class()
        coco.dataset = {**ground_truth, "annotations": numbered}
        coco.createIndex()
        return coco

    def score(kind: str, results: Any) -> RegionScores:
        evaluator = evaluator_class(truth, results, kind)
        evaluator.params.imgIds = ids
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
        return Scores(box=score("bbox", boxes), mask=score("segm", masks))


def _region_scores(evaluator: Any) -> RegionScores:
    """From what COCOeval accumulated, averaged as its `summarize` does, which only prints."""
    # (IoU thresholds, recalls, categories, areas) with at most 100 detections; -1 where there is no object.
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
        ar100=_mean(recall[..., 0]),
        ap_by_iou=by_iou,
        ap_by_category={id: _mean(whole[:, :, k]) for k, id in enumerate(map(int, evaluator.params.catIds))},
    )


def _mean(values: NDArray[np.float64]) -> float | None:
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else None


def _milliseconds_since(start: float) -> float:
    return 1000 * (time.perf_counter() - start)
