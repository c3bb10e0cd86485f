"""Heads and layers of two networks compared image by image with Polygraphy's Comparator.

Errors pile up on their way through a network, so the layer with the largest error is rarely the one that makes it.
Therefore the tested engine computes every layer a second time from the reference's values at the layer's inputs: what
differs then, `TensorDiff.added`, the layer has added itself.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from yolact.diff.gates import SUSPICIOUS
from yolact.runtime.contract import INPUT_NAME
from yolact.runtime.errors import EngineError, YolactError
from yolact.runtime.images.arrays import Image
from yolact.runtime.wording import one_line

if TYPE_CHECKING:
    from yolact.diff.sides import Subject

HEADS = ("locations", "confidences", "coefficients", "prototypes")

_NEGLIGIBLE = 1e-6  # a layer of which the reference is all zeros may differ by so much

Tensors = Mapping[str, NDArray[Any]]

Recompute = Callable[[Image, Tensors, Tensors], Tensors]
"""From a batch, the tested engine's tensors and the reference's to what the tested engine makes of each layer where its
inputs are the reference's."""


@dataclass
class TensorDiff:
    """Running figures of one tensor over all images.

    Attributes:
        name: of the tensor, that is of the module that computes it.
        count: values seen.
        max_abs: largest absolute difference.
        is_finite: whether all values of both engines were.
        own_squares: sum of squared differences where the inputs were the reference's; None where that was not done.
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

    def add(self, tested: NDArray[Any], reference: NDArray[Any]) -> float:
        """Count one image's values; arrays of one shape. Returns the relative error of this image alone."""
        a, b = (np.asarray(array, np.float64).ravel() for array in (tested, reference))
        self.count += a.size
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            self.is_finite = False
            return math.inf
        difference = np.abs(a - b)
        squares, energy = float(difference @ difference), float(b @ b)
        self.max_abs = max(self.max_abs, float(difference.max(initial=0)))
        self._absolute += float(difference.sum())
        self._squares += squares
        self._tested_energy += float(a @ a)
        self._reference_energy += energy
        self._product += float(a @ b)
        return _relative(squares, energy, a.size)

    def add_own(self, recomputed: NDArray[Any], reference: NDArray[Any]) -> None:
        """Count what one image's values are where the layer's inputs are the reference's."""
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
        """As `relative`, where the layer's inputs are the reference's; None where that was not measured."""
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


class TensorFigures:
    """A comparison function for Polygraphy that keeps figures instead of tensors.

    Attributes:
        diffs: by tensor, in the order of `names`.
    """

    def __init__(self, names: Sequence[str], limit: float, recompute: Recompute | None = None) -> None:
        """
        Args:
            names: tensors to compare, in network order.
            limit: relative error to which a tensor passes, for Polygraphy's own verdict.
            recompute: measures what each layer adds; None to leave that out.
        """
        self.diffs = {name: TensorDiff(name) for name in names}
        self.images: Image | None = None
        self._limit, self._recompute = limit, recompute

    def __call__(self, tested: Tensors, reference: Tensors) -> OrderedDict[str, bool]:
        """Polygraphy's IterationResults of one image to whether each tensor is within the limit.

        In a batch the first image counts: a file made for a fixed batch has it filled up.
        """
        recomputed: Tensors = {}
        if self._recompute is not None and self.images is not None:
            recomputed = self._recompute(self.images, tested, reference)
        verdicts: OrderedDict[str, bool] = OrderedDict()
        for name, diff in self.diffs.items():
            a, b = tested[name][0], reference[name][0]
            if a.shape != b.shape:
                raise EngineError(f"{name!r} has shape {a.shape} in one engine and {b.shape} in the other")
            verdicts[name] = diff.add(a, b) <= self._limit
            if name in recomputed:
                diff.add_own(recomputed[name][0], b)
        return verdicts


def compare_tensors(
    tested: Subject, reference: Subject, names: Sequence[str], batches: Iterable[Image], *, layers: bool, limit: float
) -> list[TensorDiff]:
    """Run both networks on every batch and compare these tensors.

    Args:
        tested, reference: opened engines that both have the tensors.
        names: in network order.
        batches: (N, S, S, 3) uint8 BGR, of whose images the first counts; read one at a time.
        layers: also measure what each layer adds.
        limit: relative error for Polygraphy's verdict.

    Raises YolactError where Polygraphy is missing or an engine does not run.
    """
    comparator, logger, failure = load_polygraphy()
    figures = TensorFigures(names, limit, tested.recomputing(names) if layers else None)

    def feeds() -> Iterator[dict[str, Image]]:
        for images in batches:
            figures.images = images
            yield {INPUT_NAME: images}

    with logger.verbosity(logger.CRITICAL):
        try:
            runners = [tested.runner("engine", names), reference.runner("reference", names)]
            results = comparator.run(runners, data_loader=feeds(), streaming=True)
            comparator.compare_accuracy(results, compare_func=figures)
        except failure as error:
            raise YolactError(f"Polygraphy could not compare the engines: {one_line(error)}") from error
    return list(figures.diffs.values())


def load_polygraphy() -> tuple[Any, Any, type[Exception]]:
    """Its Comparator, its logger and its exception. Raises YolactError where it is missing or too old."""
    try:
        from polygraphy.comparator import Comparator, StreamingDataLoader  # noqa: F401
        from polygraphy.exception import PolygraphyException
        from polygraphy.logger import G_LOGGER
    except ImportError:
        raise YolactError(
            "yolact-diff needs polygraphy 0.53 or later; install it with: pip install 'yolact[diff]'"
        ) from None
    return Comparator, G_LOGGER, PolygraphyException


def first_suspect(layers: Sequence[TensorDiff]) -> TensorDiff | None:
    """The layer that adds most error itself, the first of several; None where none adds a suspicious amount."""
    measured = [(diff.added, diff) for diff in layers if diff.added is not None]
    if not measured:
        return None
    added, worst = max(measured, key=lambda pair: pair[0])
    return worst if added >= SUSPICIOUS else None
