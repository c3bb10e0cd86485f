"""Values of any depth as bytes, where a few of them are far above all others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from yolact.runtime.images import byte_images
from yolact.runtime.images.byte_images import to_bytes

RAMP = np.linspace(0, 1, 96 * 128 * 3).reshape(96, 128, 3)
"""All values from 0 to 1."""


HOT: dict[str, tuple[Any, float]] = {
    "12 bits": (np.rint(4095 * RAMP).astype(np.uint16), 65535),
    "10 bits": (np.rint(1023 * RAMP).astype(np.uint16), 20000),
    "float32": (RAMP.astype(np.float32), 900),
    "Radiance": ((5 * RAMP).astype(np.float32), 4000),
}


@pytest.mark.parametrize("name", HOT)
def test_hot_pixels_do_not_make_the_rest_black(name: str, caplog: pytest.LogCaptureFixture) -> None:
    byte_images._told.clear()
    values, hot = HOT[name]
    values = values.copy()
    values[5, 7] = values[60, 90] = hot
    read = to_bytes(values, "a", is_unbounded=name == "Radiance").astype(int)
    is_hot = np.zeros(RAMP.shape, np.bool_)
    is_hot[5, 7] = is_hot[60, 90] = True
    assert (read[is_hot] == 255).all()
    assert np.abs(read - 255 * RAMP)[~is_hot].max() <= 3
    assert "become white" in caplog.text


def test_a_few_values_in_a_black_image_are_no_hot_pixels() -> None:
    values = np.zeros((96, 128, 3), np.uint16)
    values[5, 7] = 3000
    assert to_bytes(values, "a")[5, 7].tolist() == [187, 187, 187]


def test_highlights_of_sixteen_bits_are_no_hot_pixels() -> None:
    values = np.rint(4095 * RAMP).astype(np.uint16)
    values[:2] = 65535  # two of a hundred
    assert to_bytes(values, "a")[2:].max() == 15
