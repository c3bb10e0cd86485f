"""From a run's outputs to detections whose masks were made on the GPU, and only of those that are wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from yolact.runtime.cuda.device_detections import DeviceDetections
from yolact.runtime.cuda.kernels import MASKS_TO_IMAGE_MAX_PIXELS
from yolact.runtime.detections import Detections, in_image
from yolact.runtime.images.geometry import ImageTransform
from yolact.runtime.images.packed_masks import PackedMask
from yolact.runtime.postprocess.mask_assembly import CROP_PADDING
from yolact.runtime.postprocess.output_check import OutputCheck, are_probabilities
from yolact.runtime.selection import Selection
from yolact.runtime.tensorrt.context import TensorRTContext
from yolact.runtime.tensorrt.mask_kernels import WantedMasks

_PADDING = CROP_PADDING + 1
"""Cells on each side, one more than the crop's, as TensorRT may round limits otherwise than NumPy."""

_MOST_BYTES = 1 << 26
"""Most bytes of the bits of a batch. An image whose masks exceed its share has their probabilities fetched instead."""

Outputs = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class MaskChoice:
    """Chooses the detections of a batch and fetches their masks, after a run and before the context's next one.

    Attributes:
        context: the one that ran.
        check: leaves out impossible detections.
        names: of the classes.
    """

    context: TensorRTContext
    check: OutputCheck
    names: tuple[str, ...]

    def find(
        self, outputs: Sequence[Outputs], sizes: Sequence[tuple[int, int]], wanted: Selection | None
    ) -> list[Detections]:
        """The wanted detections of each image, of these sizes (height, width).

        Args:
            outputs: of each image, from `TensorRTContext.run_images`.
            sizes: of the images, pixels.
            wanted: None for all, in the network's order.
        """
        requests = self._requests(outputs, sizes, wanted)
        most = _MOST_BYTES // len(requests)
        fits = [max(one.image_size) <= MASKS_TO_IMAGE_MAX_PIXELS and one.sizes.sum() <= most for one in requests]
        bits = self.context.mask_bits([one if fit else one.first(0) for one, fit in zip(requests, fits, strict=True)])
        return [
            self._with_bits(outputs[index], requests[index], masks)
            if fits[index] and self._are_masks(index, requests[index], masks)
            else self._with_probabilities(index, outputs[index], sizes[index], wanted)
            for index, masks in enumerate(bits)
        ]

    def keep(
        self, outputs: Sequence[Outputs], sizes: Sequence[tuple[int, int]], wanted: Selection | None
    ) -> list[DeviceDetections]:
        """As `find`, on the GPU. Of a mask whose probabilities are no numbers, the pixels are not set there."""
        requests = self._requests(outputs, sizes, wanted)
        known = [_known(one, request) for one, request in zip(outputs, requests, strict=True)]
        return self.context.keep(requests, known)

    def _requests(
        self, outputs: Sequence[Outputs], sizes: Sequence[tuple[int, int]], wanted: Selection | None
    ) -> list[WantedMasks]:
        pairs = enumerate(zip(outputs, sizes, strict=True))
        return [self._request(index, one, size, wanted) for index, (one, size) in pairs]

    def _request(self, index: int, outputs: Outputs, size: tuple[int, int], wanted: Selection | None) -> WantedMasks:
        """The masks of the possible and wanted detections of an image."""
        boxes, scores, class_ids = outputs["boxes"], outputs["scores"], outputs["classes"]
        mask_scores = outputs.get("mask_scores")
        rows = self.check.possible_boxes(boxes, scores, class_ids, mask_scores)
        if wanted is not None:
            ranking = scores if mask_scores is None else mask_scores
            rows = rows[wanted.indices(scores[rows], ranking[rows], class_ids[rows])]
        masks = self.context.masks_at(index)
        _, height, width = masks.shape
        regions = ImageTransform(size).mask_regions(boxes[rows], (height, width), _PADDING)
        return WantedMasks(size, masks, rows, regions)

    def _are_masks(self, index: int, request: WantedMasks, bits: Sequence[PackedMask]) -> bool:
        """Whether masks without a pixel are empty, and not full of NaN, which give no pixel either."""
        empty = request.rows[[not mask.bits.any() for mask in bits]]
        if not len(empty):
            return True
        return bool(are_probabilities(self.context.fetch_masks(index, int(empty.max()) + 1)[empty]).all())

    def _with_bits(self, outputs: Outputs, request: WantedMasks, bits: tuple[PackedMask, ...]) -> Detections:
        return Detections(
            **{"mask_scores": None} | _known(outputs, request),
            mask_probabilities=None,
            transform=ImageTransform(request.image_size),
            names=self.names,
            mask_bits=bits,
        )

    def _with_probabilities(
        self, index: int, outputs: Outputs, size: tuple[int, int], wanted: Selection | None
    ) -> Detections:
        """The wanted detections of an image, whose masks the CPU makes from all probabilities."""
        count = len(outputs["scores"])
        masks = self.context.fetch_masks(index, count)
        later = [outputs["mask_scores"]] if "mask_scores" in outputs else []
        arrays = [outputs["boxes"], outputs["scores"], outputs["classes"], masks, *later]
        found = in_image(self.check.of_outputs(count, arrays)[0], size, self.names)
        return found if wanted is None else found.select_by(wanted)


def _known(outputs: Outputs, request: WantedMasks) -> dict[str, Any]:
    """The host's arrays of the detections whose masks are wanted, by the names of Detections."""
    rows = request.rows
    known = {
        "boxes": ImageTransform(request.image_size).boxes_to_image(outputs["boxes"][rows]),
        "scores": outputs["scores"][rows],
        "class_ids": outputs["classes"][rows],
    }
    return known | {"mask_scores": outputs["mask_scores"][rows]} if "mask_scores" in outputs else known
