"""The differences between a tensor of one network and the same tensor of another, and the first suspect.

Errors add up on their way through a network, so the layer with the largest error is rarely the layer that makes it.
Therefore the tested engine computes every layer a second time, from the reference's values at the layer's inputs. The
remaining difference, `TensorDiff.added`, is the error that the layer adds itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.images.arrays import Image

SUSPICIOUS = 0.01
"""Added relative error from which a layer is suspicious. In half precision, layers add 0.0005 (fp16) to 0.003 (bf16),
in another runtime's float32 0.000001."""

_NEGLIGIBLE = 1e-6  # a layer of which the reference is all zeros may differ by so much

Tensors = Mapping[str, NDArray[Any]]

Recompute = Callable[[Image, Tensors, Tensors], Tensors]
"""A function that recomputes layers. From a batch, the tested engine's tensors and the reference's, it gives each layer
as the tested engine computes it from the reference's values at the layer's inputs."""


@dataclass
class TensorDiff:
    """Running figures of one tensor over all images.

    Attributes:
        name: of the tensor, which is the name of the module that computes it.
        count: number of values seen.
        max_abs: largest absolute difference.
        is_finite: whether all values of both engines were finite.
        own_squares: sum of squared differences of the recomputed layer; None where the layer was not recomputed.
    """

    name: str
    count: int = 0
    max_abs: float = 0.0
    is_finite: bool = True
    own_squares: float | None = None
    _absolute: float = 0.0
    _squares: float = 0.0
    _tested_energy: float = 0.0
    _reference_energy: float = 0.0
    _product: float = 0.0

    def add(self, tested: NDArray[Any], reference: NDArray[Any]) -> None:
        """Add one image's values, arrays of the same shape."""
        a, b = (np.asarray(array, np.float64).ravel() for array in (tested, reference))
        self.count += a.size
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            self.is_finite = False
            return
        difference = np.abs(a - b)
        self.max_abs = max(self.max_abs, float(difference.max(initial=0)))
        self._absolute += float(difference.sum())
        self._squares += float(difference @ difference)
        self._tested_energy += float(a @ a)
        self._reference_energy += float(b @ b)
        self._product += float(a @ b)

    def add_own(self, recomputed: NDArray[Any], reference: NDArray[Any]) -> None:
        """Add one image's values, recomputed by the layer from the reference's values at its inputs."""
        difference = np.asarray(recomputed, np.float64).ravel() - np.asarray(reference, np.float64).ravel()
        squares = float(difference @ difference)
        self.own_squares = (self.own_squares or 0) + (squares if math.isfinite(squares) else math.inf)

    @property
    def mean_abs(self) -> float:
        """Mean absolute difference; infinite where a value was not finite."""
        return self._absolute / self.count if self.is_finite and self.count else math.inf

    @property
    def relative(self) -> float:
        """Root mean square of the difference over that of the reference; infinite where a value was not finite."""
        return _relative(self._squares, self._reference_energy, self.count) if self.is_finite else math.inf

    @property
    def added(self) -> float | None:
        """The same as `relative` for the layer recomputed from the reference's inputs; None where that was not done."""
        if self.own_squares is None:
            return None
        return _relative(self.own_squares, self._reference_energy, self.count)

    @property
    def cosine(self) -> float:
        """Cosine similarity of all values; NaN where a value was not finite or one side is all zeros."""
        energy = self._tested_energy * self._reference_energy
        return self._product / math.sqrt(energy) if self.is_finite and energy > 0 else math.nan


def _relative(squares: float, energy: float, count: int) -> float:
    """Root mean square of a difference over that of the reference, from the sums of their squares."""
    return math.sqrt(squares) / max(math.sqrt(energy), _NEGLIGIBLE * math.sqrt(count)) if count else 0.0


def first_suspect(layers: Sequence[TensorDiff]) -> TensorDiff | None:
    """The layer that adds most error itself, the first of equals; None where no layer adds a suspicious amount."""
    measured = [(diff.added, diff) for diff in layers if diff.added is not None]
    if not measured:
        return None
    added, worst = max(measured, key=lambda pair: pair[0])
    return worst if added >= SUSPICIOUS else None
