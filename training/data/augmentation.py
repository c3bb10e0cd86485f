"""The official SSD-style augmentation (official utils/augmentations.py, `SSDAugmentation`) and quarter turns, drawn
from one generator.

Every step maps a `Sample` to a `Sample`; images are float32 and may leave 0..255, as in the original.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact.runtime.errors import UsageError
from yolact.training.data.datasets import Sample

Augmentation = Literal["full", "overhead", "mirror", "none"]

FloatImage = NDArray[np.float32]

LEAST_SIDE = 4 / 550
"""Pixels of the network input that a box must exceed in both directions (official `discard_box_width`)."""

_ATTEMPTS = 50
"""Crops tried before the choice between crop and whole image is made again."""


def augment(
    sample: Sample,
    rng: np.random.Generator,
    fill: tuple[float, float, float],
    kind: Augmentation = "full",
) -> Sample:
    """A random variant of the sample, in pixels of its own new size.

    Args:
        sample: image and objects; at least one object.
        rng: source of every random choice.
        fill: BGR colour around images that are expanded (official: the mean colour).
        kind: ``full`` is the official chain; ``overhead``, which is ours, is for pictures without an upright direction,
            such as those of microscopes: never expanded, half of them cropped, turned by quarters; ``mirror`` only
            mirrors, for fine-tuning or pictures that must not be cropped; ``none`` leaves the sample alone.

    Raises UsageError for any other kind.
    """
    if kind not in get_args(Augmentation):
        raise UsageError(f"augmentation must be one of {', '.join(get_args(Augmentation))}, got {kind!r}")
    sample = replace(sample, image=sample.image.astype(np.float32))
    if kind in ("full", "overhead"):
        sample = replace(sample, image=distort_colours(np.asarray(sample.image, np.float32), rng))
    if kind == "full":
        sample = random_crop(expand(sample, rng, fill), rng)
    if kind == "overhead":
        sample = random_turn(random_crop(sample, rng) if rng.integers(2) else sample, rng)
    return sample if kind == "none" else random_mirror(sample, rng)


def distort_colours(image: FloatImage, rng: np.random.Generator) -> FloatImage:
    """Random brightness, contrast, saturation and hue (`PhotometricDistort`); image (H, W, 3) BGR float32.

    Contrast changes before or after saturation and hue.
    """
    if rng.integers(2):
        image = image + np.float32(rng.uniform(-32, 32))
    contrast = np.float32(rng.uniform(0.5, 1.5)) if rng.integers(2) else np.float32(1)
    contrast_first = bool(rng.integers(2))
    if contrast_first:
        image = image * contrast
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    if rng.integers(2):
        hsv[..., 1] = hsv[..., 1] * np.float32(rng.uniform(0.5, 1.5))
    if rng.integers(2):
        hue = hsv[..., 0] + np.float32(rng.uniform(-18, 18))
        hsv[..., 0] = np.where(hue > 360, hue - 360, np.where(hue < 0, hue + 360, hue))
    distorted = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), np.float32)
    return distorted if contrast_first else distorted * contrast


def expand(sample: Sample, rng: np.random.Generator, fill: tuple[float, float, float]) -> Sample:
    """With probability 1/2, put the image somewhere on a plain canvas up to four times as wide and high (`Expand`)."""
    if rng.integers(2):
        return sample
    height, width = sample.image.shape[:2]
    ratio = rng.uniform(1, 4)
    left = int(rng.uniform(0, width * ratio - width))
    top = int(rng.uniform(0, height * ratio - height))
    size = (int(height * ratio), int(width * ratio))
    margins = (top, size[0] - top - height, left, size[1] - left - width)
    canvas = np.asarray(cv2.copyMakeBorder(sample.image, *margins, cv2.BORDER_CONSTANT, value=fill), np.float32)
    masks = np.zeros((len(sample.masks), *size), np.uint8)
    masks[:, top : top + height, left : left + width] = sample.masks
    shift = np.array([left, top, left, top], np.float32)
    return replace(
        sample, image=canvas, masks=masks, boxes=sample.boxes + shift, crowd_boxes=sample.crowd_boxes + shift
    )


def random_crop(sample: Sample, rng: np.random.Generator) -> Sample:
    """Five times in six: a window of at least 0.3 times the sides that holds the centre of an object
    (`RandomSampleCrop`). Objects whose centre lies outside are dropped.

    The original also chooses a least overlap, but its test can never fail and its authors found that mending it
    halves the accuracy, so there is none here.
    """
    while rng.integers(6):
        for _ in range(_ATTEMPTS):
            window = _draw_window(sample.image.shape[:2], rng)
            if window is not None and _centred(sample.boxes, window).any():
                return _crop(sample, window)
    return sample


Window = tuple[int, int, int, int]
"""left, top, right, bottom in pixels."""


def _draw_window(size: tuple[int, ...], rng: np.random.Generator) -> Window | None:
    """A random window, None if it is more than twice as long as wide."""
    height, width = size
    w, h = rng.uniform(0.3 * width, width), rng.uniform(0.3 * height, height)
    if not 0.5 <= h / w <= 2:
        return None
    left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
    return int(left), int(top), int(left + w), int(top + h)


def _centred(boxes: FloatImage, window: Window) -> NDArray[np.bool_]:
    """(n,) whether the centres of the boxes (n, 4) are strictly inside."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = (centres > window[:2]) & (centres < window[2:])
    return inside[:, 0] & inside[:, 1]


def _crop(sample: Sample, window: Window) -> Sample:
    left, top, right, bottom = window
    origin = np.array([left, top, left, top], np.float32)
    extent = np.array([right - left, bottom - top] * 2, np.float32)

    def cropped(boxes: FloatImage) -> FloatImage:
        return np.clip(boxes[_centred(boxes, window)] - origin, 0, extent)

    kept = _centred(sample.boxes, window)
    return Sample(
        sample.image[top:bottom, left:right],
        cropped(sample.boxes),
        sample.class_ids[kept],
        sample.masks[kept, top:bottom, left:right],
        cropped(sample.crowd_boxes),
    )


def random_mirror(sample: Sample, rng: np.random.Generator) -> Sample:
    """With probability 1/2, exchange left and right (`RandomMirror`)."""
    if rng.integers(2):
        return sample
    width = sample.image.shape[1]

    def mirrored(boxes: FloatImage) -> FloatImage:
        return np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)

    return replace(
        sample,
        image=np.asarray(cv2.flip(sample.image, 1), np.float32),
        masks=np.stack([np.asarray(cv2.flip(mask, 1), np.uint8) for mask in sample.masks]),
        boxes=mirrored(sample.boxes),
        crowd_boxes=mirrored(sample.crowd_boxes),
    )


def random_turn(sample: Sample, rng: np.random.Generator) -> Sample:
    """Turn by 0, 90, 180 or 270 degrees anticlockwise, each as often."""
    for _ in range(int(rng.integers(4))):
        sample = _quarter_turn(sample)
    return sample


def _quarter_turn(sample: Sample) -> Sample:
    width = sample.image.shape[1]

    def turned(boxes: FloatImage) -> FloatImage:
        return np.stack([boxes[:, 1], width - boxes[:, 2], boxes[:, 3], width - boxes[:, 0]], axis=1)

    return replace(
        sample,
        image=np.rot90(sample.image),
        masks=np.rot90(sample.masks, axes=(1, 2)),
        boxes=turned(sample.boxes),
        crowd_boxes=turned(sample.crowd_boxes),
    )


def stretch(sample: Sample, size: int) -> Sample:
    """Image and masks at the square network input (`Resize`), boxes relative to it; aspect is not kept.

    Objects whose box is hardly there any more are dropped.
    """
    height, width = sample.image.shape[:2]
    extent = np.array([width, height, width, height], np.float32)
    image = np.asarray(cv2.resize(sample.image, (size, size)), np.float32)
    masks = np.empty((len(sample.masks), size, size), np.uint8)
    for mask, resized in zip(sample.masks, masks, strict=True):
        cv2.resize(mask, (size, size), dst=resized)
    boxes = sample.boxes / extent
    kept = ((boxes[:, 2:] - boxes[:, :2]) * size > LEAST_SIDE).all(axis=1)
    return Sample(image, boxes[kept], sample.class_ids[kept], masks[kept], sample.crowd_boxes / extent)
