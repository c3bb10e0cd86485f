"""Detections that stay in memory of the GPU."""

from __future__ import annotations

from dataclasses import dataclass

from yolact.runtime.cuda.arrays import DeviceArray


@dataclass(frozen=True)
class DeviceDetections:
    """Instances found in one image, best first, as arrays for PyTorch, CuPy, Numba and pycuda.

    All writes to them are complete. They are the caller's, in one piece of memory, which is freed when none of them is
    used any more.

    Attributes:
        image_size: (height, width) of the original image.
        boxes: (D, 4) float32 xyxy, pixels of the original image, clamped to it.
        scores: (D,) float32 class probabilities in [0, 1].
        class_ids: (D,) int32 indices into the detector's `class_names`.
        mask_scores: (D,) float32 score x predicted mask IoU (YOLACT++), else None.
        regions: (D, 4) int32 top, left, bottom, right: the part of the image outside which a mask has no pixel.
        offsets: (D,) int64, where in `bits` each region starts.
        bits: (bytes,) uint8: of a region of h x w pixels h rows of (w + 7) // 8 bytes, as `numpy.packbits` gives them.
    """

    image_size: tuple[int, int]
    boxes: DeviceArray
    scores: DeviceArray
    class_ids: DeviceArray
    mask_scores: DeviceArray | None
    regions: DeviceArray
    offsets: DeviceArray
    bits: DeviceArray

    def __len__(self) -> int:
        return self.scores.shape[0]
