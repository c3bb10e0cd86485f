"""Synthetic scenes: textured shapes that overlap on a textured ground, with exact masks of what is visible.

A scene is a pure function of its seed and index, on every platform that has the same OpenCV.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact.training.models.configs import SCENE_CLASSES
from yolact.training.scenes.scene import Scene

FloatImage = NDArray[np.float32]

MOST_SHAPES = 12
LEAST_VISIBLE = 0.4
"""Share of every shape that stays visible; a shape that would hide more of an earlier one is left out."""

LEAST_AREA = 64
"""Visible pixels below which a shape is left out."""

_SUBPIXEL = 4  # binary digits of a pixel in polygon corners


SIZE = (288, 384)
"""Height and width of scenes where none is asked for."""


def draw_shapes(seed: int, index: int, size: tuple[int, int] = SIZE) -> Scene:
    """Scene `index` of the endless series `seed`; ``size`` is (height, width) in pixels, each 64 or more."""
    rng = np.random.default_rng([seed, index])
    canvas = _ground(rng, size)
    class_ids: list[int] = []
    masks: list[NDArray[np.bool_]] = []
    areas: list[int] = []
    for _ in range(int(rng.integers(3, MOST_SHAPES + 1))):
        class_id = int(rng.integers(len(SCENE_CLASSES)))
        alpha = _coverage(rng, SCENE_CLASSES[class_id], size)
        mask = alpha > 0.5
        remaining = [earlier & ~mask for earlier in masks]
        hides = any(r.sum() < max(LEAST_VISIBLE * a, LEAST_AREA) for r, a in zip(remaining, areas, strict=True))
        if hides or mask.sum() < LEAST_AREA:
            continue
        masks = [*remaining, mask]
        class_ids.append(class_id)
        areas.append(int(mask.sum()))
        _paint(rng, canvas, alpha)
    if not masks:  # every shape was too small: draw again
        return draw_shapes(seed, index + (1 << 32), size)
    canvas += rng.standard_normal(canvas.shape, np.float32) * np.float32(rng.uniform(0, 6))
    image = np.clip(canvas, 0, 255).astype(np.uint8)
    nothing_hidden, ids = np.zeros(len(masks), bool), np.arange(len(masks))
    return Scene(image, np.array(class_ids, np.int64), np.stack(masks).astype(np.uint8), nothing_hidden, ids)


def _ground(rng: np.random.Generator, size: tuple[int, int]) -> FloatImage:
    """Clouds of two colours with a few thin lines, which are no objects."""
    canvas = _texture(rng, size, _clouds)
    for _ in range(int(rng.integers(0, 8))):
        ends = [(int(rng.integers(size[1])), int(rng.integers(size[0]))) for _ in range(2)]
        cv2.line(canvas, ends[0], ends[1], _colour(rng).tolist(), int(rng.integers(1, 4)), cv2.LINE_AA)
    return canvas


def _coverage(rng: np.random.Generator, shape: str, size: tuple[int, int]) -> FloatImage:
    """How much of every pixel a shape of random place, size, proportions and rotation covers, 0..1."""
    scale = min(size) * np.exp(rng.uniform(np.log(0.06), np.log(0.3)))
    stretch = np.exp(rng.uniform(-0.35, 0.35))
    turn = rng.uniform(0, 2 * np.pi)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    centre = rng.uniform(0, 1, 2) * (size[1], size[0])
    outlines = [o * (scale * stretch, scale / stretch) @ rotation + centre for o in _OUTLINES[shape]]
    corners = [np.round(outline * (1 << _SUBPIXEL)).astype(np.int32) for outline in outlines]
    coverage = np.zeros(size, np.uint8)
    cv2.fillPoly(coverage, corners, 255, cv2.LINE_AA, _SUBPIXEL)
    return coverage.astype(np.float32) / np.float32(255)


def _paint(rng: np.random.Generator, canvas: FloatImage, alpha: FloatImage) -> None:
    """Blend a textured, shaded shape and its shadow into the canvas."""
    reach = 0.01 * min(alpha.shape)
    window = _around(alpha, round(12 * reach))
    canvas, alpha = canvas[window], np.ascontiguousarray(alpha[window])
    offset = np.array([[1, 0, 2 * reach], [0, 1, 3 * reach]])
    shadow = cv2.GaussianBlur(cv2.warpAffine(alpha, offset, alpha.shape[::-1]), (0, 0), 2 * reach)
    canvas *= 1 - np.float32(0.45) * shadow[..., None]
    surface = _texture(rng, alpha.shape, _PATTERNS[int(rng.integers(len(_PATTERNS)))])
    light = cv2.GaussianBlur(alpha, (0, 0), 4 * reach)  # darker towards the edge
    surface *= np.float32(0.6) + np.float32(0.4) * light[..., None]
    canvas += alpha[..., None] * (surface - canvas)


def _around(alpha: FloatImage, margin: int) -> tuple[slice, slice]:
    """The window of an image that holds all of a shape and a margin."""
    x, y, width, height = cv2.boundingRect((alpha > 0).astype(np.uint8))
    return slice(max(0, y - margin), y + height + margin), slice(max(0, x - margin), x + width + margin)


def _texture(
    rng: np.random.Generator, size: tuple[int, ...], pattern: Callable[[np.random.Generator, int, int], FloatImage]
) -> FloatImage:
    """A pattern (H, W) of values 0..1 as a blend between two colours: (H, W, 3) float32 BGR."""
    weight = pattern(rng, size[0], size[1])[..., None]
    blend: FloatImage = weight * _colour(rng) + (np.float32(1) - weight) * _colour(rng)
    return blend


def _colour(rng: np.random.Generator) -> FloatImage:
    """BGR, 0..255: any hue, often strong."""
    hsv = np.array([[[rng.uniform(0, 360), rng.uniform(0.1, 1), rng.uniform(0.25, 1)]]], np.float32)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0] * 255, np.float32)


def _clouds(rng: np.random.Generator, height: int, width: int) -> FloatImage:
    coarse = rng.uniform(0, 1, (int(rng.integers(2, 9)), int(rng.integers(2, 9)))).astype(np.float32)
    return np.clip(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1)


def _stripes(rng: np.random.Generator, height: int, width: int) -> FloatImage:
    turn, period = rng.uniform(0, np.pi), rng.uniform(6, 24)
    along = np.cos(turn) * np.arange(width)[None] + np.sin(turn) * np.arange(height)[:, None]
    return np.clip(0.5 + 2 * np.sin(2 * np.pi * along / period), 0, 1).astype(np.float32)


def _checks(rng: np.random.Generator, height: int, width: int) -> FloatImage:
    period = int(rng.integers(5, 20))
    return ((np.arange(height)[:, None] // period + np.arange(width)[None] // period) % 2).astype(np.float32)


def _gradient(rng: np.random.Generator, height: int, width: int) -> FloatImage:
    turn = rng.uniform(0, 2 * np.pi)
    along = np.cos(turn) * np.arange(width)[None] / width + np.sin(turn) * np.arange(height)[:, None] / height
    return np.clip(0.5 + along / 2, 0, 1).astype(np.float32)


_PATTERNS = (_clouds, _stripes, _checks, _gradient, _gradient)


def _regular(corners: int, radius: float = 1.0, start: float = 0.0) -> NDArray[np.float64]:
    """Corners (n, 2) on a circle."""
    angles = start + 2 * np.pi * np.arange(corners) / corners
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _star() -> NDArray[np.float64]:
    tips, notches = _regular(5), _regular(5, 0.42, np.pi / 5)
    return np.stack([tips, notches], axis=1).reshape(-1, 2)


def _cross(arm: float = 0.34) -> NDArray[np.float64]:
    quarter = np.array([[arm, -1], [arm, -arm], [1, -arm]])
    turn = np.array([[0, 1], [-1, 0]])
    return np.concatenate([quarter @ np.linalg.matrix_power(turn, count) for count in range(4)])


_OUTLINES: dict[str, list[NDArray[np.float64]]] = {
    "disc": [_regular(60)],
    "ring": [_regular(60), _regular(60, 0.55)],
    "triangle": [_regular(3, 1.15)],
    "box": [_regular(4, 1.2, np.pi / 4)],
    "star": [_star() * 1.15],
    "cross": [_cross()],
}
