"""The detections of an image: aligned arrays in pixels of the original image, masks made on demand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.images.arrays import BoolArray, FloatArray
from yolact.runtime.images.geometry import ImageTransform, Region
from yolact.runtime.images.mask_encoding import Rle, encode_rle, trace_polygons
from yolact.runtime.images.packed_masks import PackedMask
from yolact.runtime.packages import PackageMissing
from yolact.runtime.postprocess.postprocess import NetworkDetections
from yolact.runtime.selection import Selection
from yolact.runtime.wording import count_noun, printable

if TYPE_CHECKING:
    import supervision


_MOST_SHOWN = 15


@dataclass(frozen=True, repr=False)
class Detections:
    """Instances found in one image, best first.

    Attributes:
        boxes: (D, 4) float32 xyxy, pixels of the original image, clamped to it.
        scores: (D,) float32 class probabilities in [0, 1].
        class_ids: (D,) int32 indices into `names`, the detector's `class_names`.
        mask_scores: (D,) float32 score x predicted mask IoU (YOLACT++), else None.
        mask_probabilities: (D, Hp, Wp) float32 at prototype resolution, cropped to the boxes; None where there are
            `mask_bits` instead.
        transform: geometry of the image they were found in.
        names: of all classes that the model knows; empty where they are not known.
        mask_bits: D masks at image resolution, made on a GPU; None where there are `mask_probabilities` instead.
        track_ids: (D,) int64 which object each is, the same in all frames of a video, -1 where that is not known; None
            where nobody has tracked them, see `Tracker`.
        trails: for each the centres (n, 2) float32 of its object's boxes in the last frames, oldest first, in pixels;
            None as `track_ids`.

    `masks`, `iter_masks`, `rle` and `polygons` give the same from either.

    Raises ValueError where the arrays' shapes do not belong together, there are masks of both kinds or of none, or a
    class has no name although there are names.
    """

    boxes: FloatArray
    scores: FloatArray
    class_ids: NDArray[np.int32]
    mask_scores: FloatArray | None
    mask_probabilities: FloatArray | None
    transform: ImageTransform
    names: tuple[str, ...] = ()
    mask_bits: tuple[PackedMask, ...] | None = None
    track_ids: NDArray[np.int64] | None = None
    trails: tuple[FloatArray, ...] | None = None

    def __post_init__(self) -> None:
        count = len(self.scores)
        shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
            "boxes": (self.boxes.shape, (count, 4)),
            "scores": (self.scores.shape, (count,)),
            "class_ids": (self.class_ids.shape, (count,)),
        }
        if (self.mask_probabilities is None) == (self.mask_bits is None):
            both = "none" if self.mask_bits is None else "both"
            raise ValueError(f"expected either mask_probabilities or mask_bits, got {both}")
        if self.mask_probabilities is not None:
            got = self.mask_probabilities.shape
            shapes["mask_probabilities"] = (got, (count, *got[-2:]))
        if self.mask_bits is not None:
            shapes["mask_bits"] = ((len(self.mask_bits),), (count,))
        if self.mask_scores is not None:
            shapes["mask_scores"] = (self.mask_scores.shape, (count,))
        if self.track_ids is not None:
            shapes["track_ids"] = (self.track_ids.shape, (count,))
        if self.trails is not None:
            shapes["trails"] = ((len(self.trails),), (count,))
        for name, (got, expected) in shapes.items():
            if got != expected:
                raise ValueError(f"{name} must have shape {expected} to go with {count} scores, got {got}")
        if self.names and count and not 0 <= self.class_ids.min() <= self.class_ids.max() < len(self.names):
            ids = f"{self.class_ids.min()} to {self.class_ids.max()}"
            raise ValueError(f"class_ids must be from 0 to {len(self.names) - 1} to have one of the names, got {ids}")

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        """One line: the number of detections by class, and the size of the image."""
        height, width = self.image_size
        return printable(f"<Detections: {summarise(self)} in an image {width} wide and {height} high>")

    def __str__(self) -> str:
        """A line for each of the first detections: class, score that it is ranked by, corners and size of its box."""
        lines = [repr(self)[1:-1] + (":" if len(self) else "")]
        shown = self[:_MOST_SHOWN]
        names = [printable(name) for name in shown.class_names]
        longest = max(map(len, names), default=0)
        for name, score, box in zip(names, shown.ranking_scores, shown.boxes, strict=True):
            left, top, right, bottom = box.tolist()
            corners = f"({left:.0f}, {top:.0f}) to ({right:.0f}, {bottom:.0f})"
            size = f"{right - left:.0f} wide and {bottom - top:.0f} high"
            lines.append(f"  {name:{longest}}  {score:.2f}  {corners}, {size}")
        if len(self) > len(shown):
            lines.append(f"  ... and {len(self) - len(shown)} more")
        return "\n".join(lines)

    def __getitem__(self, index: int | Sequence[int] | NDArray[np.bool_] | NDArray[np.intp] | slice) -> Detections:
        """The detections at an index, several indices, a boolean mask, or a slice."""
        index = np.atleast_1d(np.arange(len(self))[index])
        return Detections(
            self.boxes[index],
            self.scores[index],
            self.class_ids[index],
            None if self.mask_scores is None else self.mask_scores[index],
            None if self.mask_probabilities is None else self.mask_probabilities[index],
            self.transform,
            self.names,
            None if self.mask_bits is None else tuple(self.mask_bits[i] for i in index),
            None if self.track_ids is None else self.track_ids[index],
            None if self.trails is None else tuple(self.trails[i] for i in index),
        )

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each detection's class, ``class_3`` for class 3 where the `names` are not known."""
        ids = self.class_ids.tolist()
        return tuple(self.names[class_id] if self.names else f"class_{class_id}" for class_id in ids)

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the original image."""
        return self.transform.image_size

    @property
    def ranking_scores(self) -> FloatArray:
        """(D,) the scores that rank instances: mask scores where the model predicts them, else scores."""
        return self.scores if self.mask_scores is None else self.mask_scores

    def select(
        self, score_threshold: float = 0.0, top_k: int | None = None, class_ids: Collection[int] | None = None
    ) -> Detections:
        """The best `top_k` detections that score above the threshold, re-ranked by `ranking_scores`.

        The order of tests is the official display's (eval.py `prep_display`): the detection score must exceed the
        threshold, then the ranking score must reach it.

        Raises ValueError where `top_k` is negative or the threshold is NaN, TypeError where one is no number, or a
        class is no whole number, such as its name.
        """
        return self.select_by(Selection(score_threshold, top_k, class_ids))

    def select_by(self, wanted: Selection) -> Detections:
        """As `select`."""
        return self[wanted.indices(self.scores, self.ranking_scores, self.class_ids)]

    def iter_masks(self) -> Iterator[tuple[Region, BoolArray]]:
        """For each detection the region of the image its mask lies in and the bool mask (h, w) inside it."""
        if self.mask_bits is not None:
            yield from ((mask.region, mask.unpack()) for mask in self.mask_bits)
        elif self.mask_probabilities is not None:
            yield from map(self.transform.upsample_mask, self.mask_probabilities)

    def packed_masks(self) -> tuple[PackedMask, ...]:
        """The masks as bits inside their regions, eight pixels a byte: as they are where a GPU made them."""
        return self.mask_bits or tuple(PackedMask.pack(region, mask) for region, mask in self.iter_masks())

    @property
    def masks(self) -> BoolArray:
        """(D, H, W) bool at image resolution, made anew at each access: D x H x W bytes. See `iter_masks`, `rle`."""
        masks = np.zeros((len(self), *self.image_size), np.bool_)
        for full, (region, mask) in zip(masks, self.iter_masks(), strict=True):
            full[region.slices] = mask
        return masks

    def rle(self) -> list[Rle]:
        """Masks as COCO compressed RLE, one per detection, without ever holding a full-size mask."""
        return [encode_rle(mask, region, self.image_size) for region, mask in self.iter_masks()]

    def polygons(self) -> list[list[list[float]]]:
        """Masks as COCO polygons: per detection a list of outer contours [x1, y1, x2, y2, ...] in image pixels."""
        return [trace_polygons(mask, region) for region, mask in self.iter_masks()]

    def to_supervision(self) -> supervision.Detections:
        """As `supervision.Detections`; confidence is `ranking_scores`, `data["class_name"]` holds the `class_names`,
        `tracker_id` the `track_ids`.

        Raises PackageMissing, which is an ImportError and a YolactError, without the `supervision` extra.
        """
        try:
            import supervision
        except ModuleNotFoundError as error:
            raise PackageMissing("to_supervision", error.name, "supervision") from None

        return supervision.Detections(
            xyxy=self.boxes,
            mask=self.masks,
            confidence=self.ranking_scores,
            class_id=self.class_ids.astype(int),
            tracker_id=None if self.track_ids is None else self.track_ids.astype(int),
            data={"class_name": np.array(self.class_names, np.str_)},
        )


def summarise(detections: Detections) -> str:
    """Counts by class, most frequent first: ``3 persons, 1 dog``."""
    counts = Counter(detections.class_names).most_common()
    return ", ".join(count_noun(count, name) for name, count in counts) or "no detections"


def in_image(found: NetworkDetections, image_size: tuple[int, int], class_names: Sequence[str] = ()) -> Detections:
    """Detections in pixels of an image of this size (height, width), in the same order."""
    transform = ImageTransform(image_size)
    return Detections(
        boxes=transform.boxes_to_image(found.boxes),
        scores=found.scores,
        class_ids=found.class_ids,
        mask_scores=found.mask_scores,
        mask_probabilities=found.masks,
        transform=transform,
        names=tuple(class_names),
    )
