"""Average precision as lines of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from yolact.runtime.wording import count_noun, printable
from yolact.training.data.ground_truth import GroundTruth
from yolact.training.evaluation.evaluate import Evaluation
from yolact.training.evaluation.report.findings import Subject
from yolact.training.evaluation.scores import COCO_MAX_DETECTIONS, RegionScores


def summary_lines(evaluation: Evaluation, subject: Subject) -> Iterator[str]:
    """The lines that `yolact-eval` prints about average precision."""
    metadata, truth, scores = subject.metadata, subject.truth, evaluation.scores
    config, settings = metadata.config, metadata.postprocess
    objects = truth.count_objects()
    yield (
        f"{config.name}, {metadata.types}, {config.image_size}x{config.image_size}, on {truth.source.name}: "
        f"{count_noun(len(truth.images), 'image')}, {count_noun(objects.total(), 'object')}"
    )
    yield (
        f"scores above {settings.score_threshold:g}, {settings.nms} NMS at IoU {settings.nms_threshold:g}, "
        f"{subject.max_detections} detections an image at most"
    )
    yield str(subject.pairs)
    yield ""
    if scores.ap_words != "AP":
        yield f"{scores.ap_words}; COCO counts {COCO_MAX_DETECTIONS} of a class"
    yield "      " + "".join(f"{title:>8}" for title in ("AP", "AP50", "AP75", "S", "M", "L", scores.ar_title))
    yield _score_line("box", scores.box)
    yield _score_line("mask", scores.mask)
    yield ""
    yield from _category_lines(evaluation, truth, objects)
    if evaluation.images_per_second is None:
        return
    yield ""
    yield (
        f"median of an image: {evaluation.detector_ms:.1f} ms to detections (resizing, network, post-processing), "
        f"{evaluation.mask_ms:.1f} ms to masks"
    )
    yield f"{evaluation.images_per_second:.1f} images/s with both, without reading files and scoring"


def _category_lines(evaluation: Evaluation, truth: GroundTruth, objects: Counter[int]) -> Iterator[str]:
    names = {id: printable(name) for id, name in truth.categories.items() if objects[id]}
    width = max(map(len, ("class", *names.values())))
    yield f"{'class':<{width}}  {'objects':>8}{'box AP':>8}{'mask AP':>8}"
    for id, name in names.items():
        by_category = (region.ap_by_category[id] for region in (evaluation.scores.box, evaluation.scores.mask))
        cells = "".join(f"{_percent(value):>8}" for value in by_category)
        yield f"{name:<{width}}  {objects[id]:>8}{cells}"
    absent = len(truth.categories) - len(names)
    if absent:
        yield f"and {count_noun(absent, 'class')} without objects"


def _score_line(title: str, scores: RegionScores) -> str:
    values = (scores.ap, scores.ap50, scores.ap75, scores.ap_small, scores.ap_medium, scores.ap_large, scores.ar)
    return f"{title:<6}" + "".join(f"{_percent(value):>8}" for value in values)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"
