"""Scores stored detections on annotated images, which are matched by their contents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.config import ModelConfig
from yolact.runtime.errors import DatasetError
from yolact.runtime.images.mask_encoding import Rle
from yolact.runtime.wording import count_noun
from yolact.training.data.class_pairing import pair_classes
from yolact.training.data.coco.annotated_images import AnnotatedImage
from yolact.training.data.ground_truth import GroundTruth
from yolact.training.evaluation.evaluate import Evaluation
from yolact.training.evaluation.scores import Row, result_rows, score_results, scored_detections


@dataclass(frozen=True)
class StoredImage:
    """The stored detections in an image.

    Attributes:
        source: the image, for messages.
        error: the reason why there are none, else None.
        size: (height, width) in pixels.
        class_ids: (D,) int64, best first.
        boxes: (D, 4) float32 xyxy in pixels.
        scores, ranking_scores: (D,) float32, of classes, and those that rank instances.
        masks: (D,) compressed RLE.
    """

    source: str
    error: str | None
    size: tuple[int, int]
    class_ids: NDArray[np.int64]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    ranking_scores: NDArray[np.float32]
    masks: tuple[Rle, ...]


def evaluate_stored(
    found: Mapping[str, StoredImage],
    digests: list[str],
    config: ModelConfig,
    truth: GroundTruth,
    max_detections: int,
) -> Evaluation:
    """Score detections that were found before.

    Args:
        found: by the SHA-256 of the encoded image.
        digests: those of the images of `truth`, in order.
        config: of the model that found them.
        truth: see `evaluate`.
        max_detections: of an image, the best ones.

    Raises:
        DatasetError: an annotated image is not among the detections, has an error there or another size, or no class
            is in the annotations.
    """
    category_ids = pair_classes(config, truth).category_ids
    missing = [path for path, digest in zip(truth.paths, digests, strict=True) if digest not in found]
    if missing:
        raise DatasetError(
            f"{count_noun(len(missing), 'annotated image')} of {len(digests)} have no stored detections, such as "
            f"{missing[0]}; run yolact-batch on them too, or give only the images that it has done"
        )
    boxes, masks = list[Row](), list[Row]()
    for image, digest in zip(truth.images, digests, strict=True):
        _check(found[digest], image)
        of_classes = [category_ids[id] for id in found[digest].class_ids]
        of_boxes, of_masks = _rows(found[digest], image.id, of_classes, max_detections)
        boxes += of_boxes
        masks += of_masks
    ids = [image.id for image in truth.images]
    scores = score_results(truth.content, boxes, masks, ids, scored_detections(max_detections))
    return Evaluation(scores, boxes, masks, None, None)


def _check(one: StoredImage, image: AnnotatedImage) -> None:
    """Raise DatasetError where there is no result, or one of an image of another size."""
    if one.error is not None:
        raise DatasetError(f"{one.error}; it has no detections")
    if one.size != image.size:
        raise DatasetError(
            f"{one.source} has {one.size[1]}x{one.size[0]} pixels, but its annotations say "
            f"{image.size[1]}x{image.size[0]}; they belong to another version of it, or to one that is not upright"
        )


def _rows(one: StoredImage, image_id: int, category_ids: list[int | None], most: int) -> tuple[list[Row], list[Row]]:
    """The best detections, of these those whose class the annotations have."""
    kept = [index for index, id in enumerate(category_ids[:most]) if id is not None]
    return result_rows(
        image_id,
        [category_ids[index] for index in kept],
        one.boxes[kept],
        one.scores[kept],
        one.ranking_scores[kept],
        [one.masks[index] for index in kept],
    )
