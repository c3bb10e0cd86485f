"""The report as one HTML page that needs no other file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from yolact.runtime.wording import count_noun
from yolact.training.evaluation.confusion import IOU
from yolact.training.evaluation.report.charts import (
    class_precision_recall,
    confusion_matrix,
    histogram,
    precision_recall,
    reliability,
)
from yolact.training.evaluation.report.findings import SCORE_BINS, SIZE_EDGES, Findings
from yolact.training.evaluation.report.worst import WorstImage
from yolact.training.evaluation.scores import COCO_MAX_DETECTIONS, RegionScores
from yolact.training.pages.page import figure, render_page, table, text

_REGIONS = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar")
_CONFUSED = 15  # pairs of classes in the table of those that are most often confused


def render(findings: Findings, metrics: dict[str, Any], worst: Sequence[WorstImage]) -> str:
    """The page; its figures are those of `metrics`."""
    parts = [
        *_head(findings, metrics),
        *_accuracy(findings, metrics),
        *_curves(findings),
        *_classes(metrics),
        *_confusion(findings),
        *_histograms(findings),
        *_worst(worst, findings),
        *_sources(metrics),
    ]
    return render_page(f"{findings.subject.model.name} on {findings.subject.truth.source.name}", parts)


def _head(findings: Findings, metrics: dict[str, Any]) -> Iterator[str]:
    subject, settings, speed = findings.subject, metrics["postprocess"], metrics["speed"]
    on = metrics["annotations"]
    yield f"<h1>{text(subject.model.name)} on {text(subject.truth.source.name)}</h1>"
    yield (
        f'<p class="soft">{text(metrics["model"]["configuration"])}, {text(metrics["model"]["types"])}, network input '
        f"{metrics['model']['image_size']}x{metrics['model']['image_size']}; {count_noun(on['images'], 'image')}, "
        f"{count_noun(on['objects'], 'object')}; {text(str(subject.pairs))}</p>"
    )
    yield (
        f'<p class="soft">Scores above {settings["score_threshold"]:g}, {settings["nms"]} NMS at IoU '
        f"{settings['nms_threshold']:g}, {settings['max_detections']} detections an image at most.{_speed(speed)}</p>"
    )


def _speed(speed: dict[str, Any]) -> str:
    if speed["images_per_second"] is None:
        return ""
    return (
        f" Median of an image: {speed['detector_ms']:.1f} ms to detections, {speed['mask_ms']:.1f} ms to masks, "
        f"{speed['images_per_second']:.1f} images/s with both."
    )


def _accuracy(findings: Findings, metrics: dict[str, Any]) -> Iterator[str]:
    scores = findings.evaluation.scores
    yield "<h2>Average precision</h2>"
    if scores.ap_words != "AP":
        yield f"<p><strong>{scores.ap_words}</strong>; COCO counts {COCO_MAX_DETECTIONS} of a class.</p>"
    titles = ("", "AP", "AP50", "AP75", "small", "medium", "large", scores.ar_title)
    yield table(titles, [(kind, *(percents(metrics[kind][name]) for name in _REGIONS)) for kind in ("box", "mask")])


def percents(value: float | None) -> str:
    """A percentage as the command prints it."""
    return "-" if value is None else f"{value:.2f}"


def _curves(findings: Findings) -> Iterator[str]:
    scores, categories = findings.evaluation.scores, findings.subject.truth.categories
    yield "<h2>Precision over recall</h2>"
    if scores.mask.ap is None:
        yield "<p>No object is annotated, so there are no curves.</p>"
        return
    yield '<p>The mean over classes at each IoU threshold.</p><div class="large charts">'
    for title, region in (("masks", scores.mask), ("boxes", scores.box)):
        chart = precision_recall(
            np.nanmean(region.details.precision, axis=2), _legend(region), f"Precision over recall of {title}"
        )
        yield f"<figure>{chart}<figcaption>{title}</figcaption></figure>"
    yield "</div>"
    yield (
        '<p>Masks of each class, with its AP, at IoU <span class="key blue"></span>0.5 and '
        '<span class="key orange"></span>0.75:</p><div class="small-charts">'
    )
    for index, (id, name) in enumerate(categories.items()):
        ap = scores.mask.ap_by_category[id]
        if ap is not None:
            caption = text(f"{name} {100 * ap:.1f}")
            chart = class_precision_recall(
                scores.mask.details.precision[[0, 5], :, index], f"{name}: AP {100 * ap:.1f}"
            )
            yield f'<figure><figcaption title="{caption}">{caption}</figcaption>{chart}</figure>'
    yield "</div>"


def _legend(region: RegionScores) -> list[str]:
    return [f"{0.5 + 0.05 * i:.2f}: AP {percents(100 * (ap or 0))}" for i, ap in enumerate(region.ap_by_iou)]


def _classes(metrics: dict[str, Any]) -> Iterator[str]:
    yield "<h2>Classes</h2>"
    threshold = metrics["confusion"]["score_threshold"]
    yield f"<p>Precision and recall: of masks at IoU {IOU:g}, of detections that score above {threshold:g}.</p>"
    rows = [
        (
            entry["name"],
            str(entry["objects"]),
            *(percents(entry[name]) for name in ("box_ap", "mask_ap", "precision", "recall")),
        )
        for entry in metrics["classes"]
        if entry["objects"] or entry["precision"] is not None
    ]
    yield table(("class", "objects", "box AP", "mask AP", "precision", "recall"), rows)
    absent = len(metrics["classes"]) - len(rows)
    if absent:
        yield f'<p class="soft">and {count_noun(absent, "class")} without objects and detections</p>'


def _confusion(findings: Findings) -> Iterator[str]:
    confusion, names = findings.confusion, list(findings.subject.truth.categories.values())
    yield "<h2>Confusion of classes</h2>"
    yield (
        f"<p>Detections that score above {findings.score_threshold:g}, by mask IoU of at least {IOU:g}: first each "
        "takes an object of its own class, then the rest take one of any class. Shades are shares of a row: "
        '<span class="key blue"></span>right, <span class="key orange"></span>wrong.</p>'
    )
    most = confusion.most_frequent(_CONFUSED)
    used = [i for i in range(len(names)) if confusion.counts[i].any() or confusion.counts[:, i].any()]
    chosen = confusion.of_classes(used)
    wide = "wide scroll" if len(used) > 30 else ""
    style = f"max-width:{min(76, 16 + 4 * len(used))}rem"
    yield f'<div class="{wide}" style="{style}">{confusion_matrix(chosen, [names[i] for i in used])}</div>'
    if most:
        yield "<h3>Most often confused</h3>"
        yield table(("annotated class", "detected as", "times"), [(names[r], names[c], str(n)) for r, c, n in most])


def _histograms(findings: Findings) -> Iterator[str]:
    calibration = findings.calibration
    error = "-" if calibration.error is None else f"{calibration.error:.4f}"
    yield "<h2>Sizes and scores</h2>"
    yield '<div class="charts">'
    edges = [f"{edge}" for edge in SIZE_EDGES]
    chart = histogram(findings.sizes, edges, ("found", "missed or confused"), "root of the area, pixels")
    yield (
        f'<figure>{chart}<figcaption>Objects by size: <span class="key blue"></span>found, <span class="key orange">'
        f"</span>missed or taken for another class, by detections that score above {findings.score_threshold:g}"
        "</figcaption></figure>"
    )
    edges = [f"{index / SCORE_BINS:g}" for index in range(SCORE_BINS)]
    chart = histogram(findings.score_counts, edges, ("right", "wrong"), "score")
    yield (
        f'<figure>{chart}<figcaption>All detections by score: <span class="key blue"></span>right at mask IoU {IOU:g}, '
        '<span class="key orange"></span>wrong</figcaption></figure>'
    )
    yield (
        f"<figure>{reliability(calibration)}<figcaption>Calibration: the share of right detections, and "
        f'<span class="key orange"></span>the mean score, which it should equal. Expected calibration error {error}, '
        f"of {count_noun(int(calibration.counts.sum()), 'detection')}</figcaption></figure></div>"
    )


def _worst(worst: Sequence[WorstImage], findings: Findings) -> Iterator[str]:
    if not worst:
        return
    yield "<h2>Worst images</h2>"
    yield (
        f"<p>Those with the most errors, weighed with the share of errors; detections that score above "
        f"{findings.score_threshold:g}.</p>"
    )
    for image in worst:
        outcome = image.outcome
        missed = sum(found is None for _, found in outcome.pairs)
        spurious = sum(true is None for true, _ in outcome.pairs)
        counts = (
            f"{outcome.right} found, {missed} missed, {outcome.wrong - missed - spurious} taken for another class, "
            f"{spurious} without an object"
        )
        yield f'<h3>{text(image.name)}</h3><p class="soft">{counts}</p><div class="pictures">'
        yield figure(image.truth, "annotated", f"annotated: {image.name}")
        yield figure(image.found, "found", f"found: {image.name}, {counts}")
        yield "</div>"


def _sources(metrics: dict[str, Any]) -> Iterator[str]:
    yield "<h2>Command and files</h2>"
    yield f"<pre>{text(' '.join(metrics['options']))}</pre><dl>"
    facts = {
        "model": f"{metrics['model']['file']}, SHA-256 {metrics['model']['sha256']}",
        "annotations": f"{metrics['annotations']['file']}, SHA-256 {metrics['annotations']['sha256']}",
        "versions": ", ".join(f"{name} {version}" for name, version in metrics["versions"].items()),
        "processor": str(metrics["speed"]["processor"] or "-"),
    }
    for name, fact in facts.items():
        yield f"<dt>{name}</dt><dd>{text(fact)}</dd>"
    yield '</dl><p class="soft">All figures are in metrics.json beside this page.</p>'
