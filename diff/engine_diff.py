"""The whole comparison of two engines, from the request of `yolact-diff` to its result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from yolact.diff.comparability import check_comparable, share_settings, shared_names
from yolact.diff.detection_diff import DetectionTotals, ImageDetectionDiff, compare_detections
from yolact.diff.gates import Gate, Limits, detection_gates, head_gates, too_few_detections
from yolact.diff.images import DiffImage, DiffImages
from yolact.diff.pictures import WorstImage, WorstImages
from yolact.diff.polygraphy_command import polygraphy_command
from yolact.diff.polygraphy_comparator import compare_tensors, load_polygraphy
from yolact.diff.request import DiffRequest
from yolact.diff.sides import OnnxSide, Side, open_sides
from yolact.diff.tensor_diff import TensorDiff, first_suspect
from yolact.runtime.contract import HEADS
from yolact.runtime.detector import Detector
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.preprocess import Preprocessor, fill_batch
from yolact.runtime.progress_bar import ProgressBar

if TYPE_CHECKING:
    from yolact.training.data.ground_truth import GroundTruth
    from yolact.training.evaluation.scores import Scores

_T = TypeVar("_T")


@dataclass(frozen=True)
class EngineDiff:
    """The result of a comparison.

    Attributes:
        request: the user's request.
        names: configuration and precision of the tested engine and of the reference.
        image_size: side of the network input.
        heads: figures of the heads that both have.
        layers: figures of all shared layers in network order, heads among them; empty where not asked for.
        images: the differences of each image's detections.
        scores: average precision of both engines, where there are annotations.
        worst: the images that differ most.
        command: repeats the comparison with Polygraphy alone; None where that is impossible.
        notes: sentences that the reader must know.
    """

    request: DiffRequest
    names: tuple[str, str]
    image_size: int
    heads: list[TensorDiff]
    layers: list[TensorDiff]
    images: list[tuple[str, ImageDetectionDiff]]
    scores: tuple[Scores, Scores] | None
    worst: list[WorstImage]
    command: str | None
    notes: list[str]

    @property
    def totals(self) -> DetectionTotals:
        """Figures of the detections in all images together."""
        return DetectionTotals.of(diff for _, diff in self.images)

    @property
    def suspect(self) -> TensorDiff | None:
        """The layer at which the error starts, see `tensor_diff.first_suspect`."""
        return first_suspect(self.layers)

    @property
    def gates(self) -> list[Gate]:
        """Every limit with the value measured."""
        limits = self.request.limits
        return [*head_gates(self.heads, limits), *detection_gates(self.totals, limits)]

    @property
    def doubt(self) -> str | None:
        """Why the reference's average precision is no basis to judge by; None if it is one, or without annotations."""
        if self.scores is None or self.request.annotations is None:
            return None
        from yolact.training.evaluation.reference import reference_doubt

        ap = self.scores[1].mask.ap
        return reference_doubt(None if ap is None else 100 * ap, self.request.annotations)

    @property
    def passed(self) -> bool:
        """Whether everything is within its limit."""
        return all(gate.passed for gate in self.gates)


def compare_engines(request: DiffRequest, images: DiffImages) -> EngineDiff:
    """Compare two engines on these images, one image at a time.

    Raises:
        EngineError: an engine cannot run here, or the two are not comparable.
        UsageError: the request asks for something that these files do not have.
        ImageError: an image cannot be read.
        YolactError: a library is missing.
    """
    load_polygraphy()
    tested, reference = open_sides(request.tested, request.reference, request.open_options, request.config_name)
    with closing(tested.engine), closing(reference.engine):
        check_comparable(tested, reference)
        warning = share_settings(tested, reference)
        found = _Detections(tested, reference, request.limits, images.truth)
        tensors = _compare_inside(tested, reference, request, images.images)
        for image in _progress(images.images, "detections"):
            found.add(image)
        scores = None if images.truth is None else found.scores(images)
        heads = [diff for diff in tensors if diff.name in HEADS]
        notes = [*([] if warning is None else [warning]), *found.notes]
        notes += _notes_on_heads(heads, (tested, reference), images.images[0], request.limits)
        notes += too_few_detections(DetectionTotals.of(diff for _, diff in found.diffs), request.limits)
        if not any(diff.matches or diff.missed or diff.spurious for _, diff in found.diffs):
            notes.append(
                f"neither engine has detections that score above {request.limits.score_threshold:g} on these images; "
                "give images of objects with --data"
            )
        return EngineDiff(
            request=request,
            names=(_describe(tested), _describe(reference)),
            image_size=tested.engine.metadata.config.image_size,
            heads=heads,
            layers=tensors if request.layers else [],
            images=found.diffs,
            scores=scores,
            worst=found.worst.images,
            command=polygraphy_command(tested, reference, request),
            notes=notes,
        )


def _compare_inside(
    tested: Side, reference: Side, request: DiffRequest, images: Sequence[DiffImage]
) -> list[TensorDiff]:
    """Compare the heads, or all shared layers where they are asked for."""
    names = shared_names(tested, reference, layers=request.layers)
    if not names:
        return []
    preprocess = Preprocessor(tested.engine.metadata.config.image_size)
    batch = max(tested.engine.min_batch, reference.engine.min_batch)

    def batches() -> Iterator[Image]:
        for image in _progress(images, "layers" if request.layers else "heads"):
            yield fill_batch(preprocess([image.read()]), batch)

    return compare_tensors(tested, reference, names, batches(), layers=request.layers)


def _notes_on_heads(
    heads: Sequence[TensorDiff], sides: Iterable[Side], image: DiffImage, limits: Limits
) -> Iterator[str]:
    if not heads:
        yield "no heads were compared: one of the files outputs only detections"
    if any(not gate.passed for gate in head_gates(heads, limits)):
        yield from _check_runtime(sides, image, max(head.relative for head in heads))


def _check_runtime(sides: Iterable[Side], image: DiffImage, worst: float) -> Iterator[str]:
    """Yields a note for each ONNX file for which ONNX Runtime's graph optimisations make most of the heads' error.

    No layer of such a file is at fault. Kernels for INT8 also round differently from the file, but that makes only a
    part of an error, never most of it.
    """
    for side in sides:
        if isinstance(side, OnnxSide):
            pixels = Preprocessor(side.engine.metadata.config.image_size)([image.read()])
            error = side.optimisation_error(np.repeat(pixels, side.engine.min_batch, axis=0))
            if error > worst / 2:
                yield (
                    f"ONNX Runtime's graph optimisations change the heads of {side.path} by a relative error of "
                    f"{error:.2g}: most of the error comes from the runtime, not from the file"
                )


class _Detections:
    """Runs both engines as deployed, and keeps the differences of their detections and the images that differ most."""

    def __init__(self, tested: Side, reference: Side, limits: Limits, truth: GroundTruth | None) -> None:
        """`truth`: annotations to score the detections by. Raises as `check_categories`."""
        self.diffs: list[tuple[str, ImageDetectionDiff]] = []
        self.worst = WorstImages(limits.score_threshold)
        self._detectors = (Detector(tested.engine), Detector(reference.engine))
        self._limits = limits
        self._rows: tuple[list[list[Any]], list[list[Any]]] = ([[], []], [[], []])  # boxes and masks of both
        self._category_ids: list[tuple[int | None, ...]] = []
        self.notes: list[str] = []
        if truth is not None:
            from yolact.training.data.class_pairing import check_categories, pair_classes

            pairs = check_categories(reference.engine.metadata.config, truth)
            self._category_ids = [pair_classes(tested.engine.metadata.config, truth).category_ids, pairs.category_ids]
            self.notes = pairs.notes()

    def add(self, image: DiffImage) -> None:
        """Run both on an image."""
        pixels = image.read()
        tested, reference = (detector(pixels) for detector in self._detectors)
        tolerance = self._limits.max_score_difference
        diff = compare_detections(tested, reference, self._limits.score_threshold, tolerance)
        self.diffs.append((image.name, diff))
        self.worst.add(image.name, pixels, tested, reference, diff)
        if image.id is None:
            return
        from yolact.training.evaluation.scores import to_results

        for rows, found, category_ids in zip(self._rows, (tested, reference), self._category_ids, strict=True):
            results = to_results(found, image.id, category_ids)
            for kind, of_image in zip(rows, results, strict=True):
                kind += of_image

    def scores(self, images: DiffImages) -> tuple[Scores, Scores]:
        """Average precision of both, as `evaluate` measures it, without a second run."""
        from yolact.training.evaluation.scores import score_results, scored_detections

        assert images.truth is not None
        ids = [image.id for image in images.images if image.id is not None]
        limit = scored_detections(max(one.metadata.postprocess.max_detections for one in self._detectors))
        ours, theirs = (score_results(images.truth.content, boxes, masks, ids, limit) for boxes, masks in self._rows)
        return ours, theirs


def _describe(side: Side) -> str:
    metadata = side.engine.metadata
    return f"{metadata.config.name}, {metadata.types}"


def _progress(items: Sequence[_T], what: str) -> Iterable[_T]:
    """They are shown as they pass, on stderr."""
    bar: Callable[..., Iterable[_T]] = ProgressBar
    return bar(items, desc=what, unit=" images", leave=None)
