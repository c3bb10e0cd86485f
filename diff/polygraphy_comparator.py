"""Runs two networks through Polygraphy's Comparator, image by image, and records how far their tensors differ."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from yolact.diff.tensor_diff import Recompute, TensorDiff, Tensors
from yolact.runtime.contract import INPUT_NAME
from yolact.runtime.errors import EngineError, YolactError
from yolact.runtime.images.arrays import Image
from yolact.runtime.packages import PackageMissing
from yolact.runtime.wording import one_line

if TYPE_CHECKING:
    from yolact.diff.sides import Side


class TensorFigures:
    """A comparison function for Polygraphy that keeps figures instead of tensors.

    Attributes:
        diffs: by tensor, in the order of `names`.
    """

    def __init__(self, names: Sequence[str], recompute: Recompute | None = None) -> None:
        """
        Args:
            names: tensors to compare, in network order.
            recompute: measures the error that each layer adds; None to leave that out.
        """
        self.diffs = {name: TensorDiff(name) for name in names}
        self.images: Image | None = None
        self._recompute = recompute

    def __call__(self, tested: Tensors, reference: Tensors) -> OrderedDict[str, bool]:
        """Record the figures of Polygraphy's IterationResults of one image.

        Only the first image of a batch counts, as a fixed batch is filled up. No tensor gets a verdict: for each
        tensor with one, Polygraphy computes statistics for its log, which took most of the time.
        """
        recomputed: Tensors = {}
        if self._recompute is not None and self.images is not None:
            recomputed = self._recompute(self.images, tested, reference)
        for name, diff in self.diffs.items():
            a, b = tested[name][0], reference[name][0]
            if a.shape != b.shape:
                raise EngineError(f"{name!r} has shape {a.shape} in one engine and {b.shape} in the other")
            diff.add(a, b)
            if name in recomputed:
                diff.add_own(recomputed[name][0], b)
        return OrderedDict()


def compare_tensors(
    tested: Side, reference: Side, names: Sequence[str], batches: Iterable[Image], *, layers: bool
) -> list[TensorDiff]:
    """Run both networks on every batch and compare these tensors.

    Args:
        tested, reference: opened engines that both have the tensors.
        names: in network order.
        batches: (N, S, S, 3) uint8 BGR, of which the first image counts; read one at a time.
        layers: also measure the error that each layer adds.

    Raises YolactError where Polygraphy is missing or an engine does not run.
    """
    comparator, logger, failure = load_polygraphy()
    figures = TensorFigures(names, tested.recomputing(names) if layers else None)

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
    """Polygraphy's Comparator, logger and exception. Raises PackageMissing where it is missing or too old."""
    try:
        from polygraphy.comparator import Comparator, StreamingDataLoader  # noqa: F401
        from polygraphy.exception import PolygraphyException
        from polygraphy.logger import G_LOGGER
    except ImportError:
        raise PackageMissing("yolact-diff", "polygraphy 0.53 or later", "diff") from None
    return Comparator, G_LOGGER, PolygraphyException
