"""Small videos whose frames carry their number in their pixels, written by PyAV."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

CELLS = 6
"""Bits of a number: light and dark cells from left to right, the lowest first."""


def picture(number: int, size: tuple[int, int] = (96, 64)) -> np.ndarray:
    """(H, W, 3) uint8: a number in cells of the upper half, below it what no codec makes small."""
    width, height = size
    image = np.empty((height, width, 3), np.uint8)
    image[:] = np.random.default_rng(number).integers(60, 180, (height, width, 1))
    for cell in range(CELLS):
        left, right = cell * width // CELLS, (cell + 1) * width // CELLS
        image[: height // 2, left:right] = 210 if number >> cell & 1 else 45
    return image


def number_of(image: np.ndarray) -> int:
    """The number in an upright picture."""
    height, width = image.shape[:2]
    cells = [image[height // 8 : height * 3 // 8, round((cell + 0.5) * width / CELLS)] for cell in range(CELLS)]
    return sum((float(cell.mean()) > 127) << index for index, cell in enumerate(cells))


def write_film(
    path: Path,
    times: Sequence[float],
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    size: tuple[int, int] = (96, 64),
    format: str | None = None,
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    turned: int = 0,
    context: dict[str, Any] | None = None,
    tick: Fraction = Fraction(1, 1000),
) -> Path:
    """A film with these frame times in seconds; `context` are attributes of the encoder."""
    with av.open(str(path), "w", format=format, container_options=container or {}) as output:
        # All that is noise would be a scene of its own, and so a key frame.
        steady_scene = {"sc_threshold": "0"} if codec == "libx264" else {}
        stream = output.add_stream(codec, rate=10, options=steady_scene | (options or {}))
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        stream.codec_context.time_base = tick
        stream.codec_context.gop_size = 5
        for name, value in (context or {}).items():
            setattr(stream.codec_context, name, value)
        if turned:
            stream.set_display_rotation(turned)
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(number, size), format="bgr24").reformat(format=pixels)
            frame.pts, frame.time_base = round(time / tick), tick
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def steady(count: int, rate: float = 10) -> list[float]:
    return [index / rate for index in range(count)]
