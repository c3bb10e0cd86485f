"""Runs a detector on annotated images, through the runtime that deploys it, and scores and times its detections."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from yolact.runtime.engine import ImageEngine
from yolact.runtime.progress_bar import ProgressBar
from yolact.training.data.class_pairing import pair_classes
from yolact.training.data.ground_truth import GroundTruth
from yolact.training.evaluation.scores import Row, Scores, score_results, scored_detections, to_results

if TYPE_CHECKING:
    from yolact.runtime.detections import Detections
    from yolact.runtime.detector import Detector


@dataclass(frozen=True)
class Evaluation:
    """A detector's results in every image, their scores and the time they took.

    Attributes:
        scores: average precision of boxes and masks.
        box_results, mask_results: see `to_results`; both in the order of the images.
        detector_ms: median milliseconds of an image from pixels in memory to detections, on a plan with another batch
            in flight; a batch is divided evenly. This and the next are None for stored detections.
        mask_ms: median milliseconds of an image from there to masks of its size in RLE.
    """

    scores: Scores
    box_results: list[Row]
    mask_results: list[Row]
    detector_ms: float | None
    mask_ms: float | None

    @property
    def images_per_second(self) -> float | None:
        """Images a second for the detector and the masks together."""
        if self.detector_ms is None or self.mask_ms is None:
            return None
        return 1000 / (self.detector_ms + self.mask_ms)

    def server_results(self) -> list[Row]:
        """Box and mask of each detection in one row, as COCO's server takes them, with the score that ranks masks."""
        pairs = zip(self.box_results, self.mask_results, strict=True)
        return [{**mask, "bbox": box["bbox"]} for box, mask in pairs]


def evaluate(
    detector: Detector,
    truth: GroundTruth,
    *,
    batch_size: int = 1,
    max_detections: int | None = None,
    progress: bool = True,
) -> Evaluation:
    """Run a detector on every image and score its detections.

    All detections kept of an image count, also more than COCO's 100 of a category: see `Scores.ap_words`.

    Args:
        detector: its classes are paired with the annotations' categories as `pair_classes` does.
        truth: images, also without annotations, and their objects; may serve any number of evaluations.
        batch_size: images that the detector gets at a time.
        max_detections: of an image, the best ones; None for all that the detector keeps.
        progress: show a bar on stderr where that is a terminal.

    Raises:
        DatasetError: an image has not the annotated size, or no class is in the annotations.
        ImageError: an image cannot be read.
    """
    ids, found = [image.id for image in truth.images], _Found()
    category_ids = pair_classes(detector.metadata.config, truth).category_ids
    images = (partial(truth.read, index) for index in range(len(ids)))
    # On a CPU, reading ahead would show in the times.
    in_flight = 2 if isinstance(detector.engine, ImageEngine) else 1
    with (
        ProgressBar(total=len(ids), unit=" images", leave=None, disable=not progress) as bar,
        detector.stream(images, in_flight, batch_size=batch_size, top_k=max_detections) as stream,
    ):
        for index, detections in enumerate(stream):
            in_batch = min(batch_size, len(ids) - index // batch_size * batch_size)
            found.detector_ms.append(stream.milliseconds / in_batch)
            found.add(detections, ids[index], category_ids)
            bar.update()
    kept = max_detections or detector.metadata.postprocess.max_detections
    scores = score_results(truth.content, found.boxes, found.masks, ids, scored_detections(kept))
    return Evaluation(scores, found.boxes, found.masks, median(found.detector_ms), median(found.mask_ms))


@dataclass
class _Found:
    """The detections so far, and the milliseconds of each image."""

    boxes: list[Row] = field(default_factory=list)
    masks: list[Row] = field(default_factory=list)
    detector_ms: list[float] = field(default_factory=list)
    mask_ms: list[float] = field(default_factory=list)

    def add(self, detections: Detections, image_id: int, category_ids: Sequence[int | None]) -> None:
        """Take in the detections of an image; making their masks is timed."""
        start = time.perf_counter()
        boxes, masks = to_results(detections, image_id, category_ids)
        self.mask_ms.append(_milliseconds_since(start))
        self.boxes += boxes
        self.masks += masks


def _milliseconds_since(start: float) -> float:
    return 1000 * (time.perf_counter() - start)
