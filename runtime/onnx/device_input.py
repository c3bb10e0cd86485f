"""The network's input in memory of the device that ONNX Runtime runs on."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from yolact.runtime.engine import DeviceChoice


class _Held(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    value: onnxruntime.OrtValue


class DeviceInput:
    """Memory of a GPU for batches, used again by the next batch of the same shape: one piece for each running thread.

    Without it, ONNX Runtime would allocate and copy whenever an array of the host is bound.
    """

    def __init__(self, device: DeviceChoice) -> None:
        """`device`: a GPU, through whichever provider."""
        self._index = device.index
        self._idle: list[_Held] = []

    def upload(self, images: NDArray[Any]) -> _Held:
        """A batch, C-contiguous, in memory that nobody else uses until it is given to `done`.

        Raises what ONNX Runtime raises, where memory does not suffice.
        """
        try:
            held = self._idle.pop()
        except IndexError:
            held = None
        if held is None or held[:2] != (images.shape, images.dtype):
            del held  # before as much is allocated again
            value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(
                list(images.shape), images.dtype, "cuda", self._index
            )
            held = _Held(images.shape, images.dtype, value)
        held.value.update_inplace(images)
        return held

    def done(self, held: _Held) -> None:
        """Let others use this memory again. Memory that a failed run may still read is not given back, but freed."""
        self._idle.append(held)

    def close(self) -> None:
        """Free the idle memory."""
        self._idle.clear()
