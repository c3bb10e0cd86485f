"""The comparison as one HTML page that needs no other file: summary, accuracy, layers, pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from yolact.diff.chart import draw_chart
from yolact.diff.detection_diff import poor_masks_sentence
from yolact.runtime.wording import count_noun
from yolact.training.pages.page import figure, render_page, table, text

if TYPE_CHECKING:
    from yolact.diff.engine_diff import EngineDiff
    from yolact.diff.pictures import WorstImage
    from yolact.diff.tensor_diff import TensorDiff
    from yolact.training.evaluation.scores import RegionScores


def render_report(result: EngineDiff) -> str:
    """The report as an HTML page."""
    request = result.request
    parts = [
        *_head(result),
        *_gates(result),
        *_detections(result),
        *_accuracy(result),
        *_tensors(result),
        *_pictures(result.worst, request.limits.score_threshold),
        *_images(result),
        *_command(result),
    ]
    return render_page(f"{request.tested.name} against {request.reference.name}", parts)


def _head(result: EngineDiff) -> Iterator[str]:
    request = result.request
    yield f"<h1>{text(request.tested.name)} against {text(request.reference.name)}</h1>"
    where = "made-up scenes" if request.data is None else str(request.data)
    yield (
        f'<p class="soft">{count_noun(len(result.images), "image")} ({text(where)}), network input '
        f"{result.image_size}x{result.image_size}</p>"
    )
    failed = sum(not gate.passed for gate in result.gates)
    if failed:
        yield f'<p class="verdict fail">{count_noun(failed, "limit")} not kept</p>'
    elif result.doubt is not None:
        yield f'<p class="verdict fail">not judged</p><p>{text(result.doubt)}</p>'
    else:
        yield '<p class="verdict pass">within all limits</p>'
    rows = [
        ("engine", str(request.tested), result.names[0]),
        ("reference", str(request.reference), result.names[1]),
    ]
    yield table(("", "file", "model"), rows)
    for note in result.notes:
        yield f"<p><strong>Note:</strong> {text(note)}</p>"
    if result.suspect is not None:
        yield (
            f"<p><strong>First suspect:</strong> <code>{text(result.suspect.name)}</code> adds a relative error of "
            f"{result.suspect.added:.2g} by itself{', while all limits are kept' if result.passed else ''}.</p>"
        )


def _gates(result: EngineDiff) -> Iterator[str]:
    yield "<h2>Limits</h2>"
    rows = [
        (
            gate.name,
            f"{gate.measured:.4g}",
            f"{'at least' if gate.at_least else 'at most'} {gate.limit:g}",
            "kept" if gate.passed else "not kept",
            gate.option,
        )
        for gate in result.gates
    ]
    marks = {"kept": "pass-text", "not kept": "fail-text"}
    yield table(("", "measured", "limit", "verdict", "option"), rows, marks)


def _detections(result: EngineDiff) -> Iterator[str]:
    totals = result.totals
    yield "<h2>Detections</h2>"
    yield (
        "<p>Detections are matched by class and box overlap; those that score above "
        f"{result.request.limits.score_threshold:g} count. "
        f"<strong>{totals.matched}</strong> matched, <strong>{totals.missed}</strong> only in the reference (missed), "
        f"<strong>{totals.spurious}</strong> only in the engine (spurious).</p>"
    )
    if totals.matched:
        rows = [
            ("box IoU", f"{totals.median_box_iou:.4f}", f"{min(totals.box_ious):.4f}"),
            ("mask IoU", f"{totals.median_mask_iou:.4f}", f"{min(totals.mask_ious):.4f}"),
        ]
        yield table(("of matched detections", "median", "lowest"), rows)
        yield f"<p>Scores differ by {totals.max_score_difference:.4f} at most.</p>"
    if totals.poor_masks:
        yield f"<p><strong>{text(poor_masks_sentence(totals))}</strong></p>"


def _accuracy(result: EngineDiff) -> Iterator[str]:
    if result.scores is None:
        return
    yield "<h2>Average precision</h2>"
    if result.scores[0].ap_words != "AP":
        yield f'<p class="soft">{result.scores[0].ap_words}</p>'
    titles = ("", "AP", "AP50", "AP75", "small", "medium", "large", result.scores[0].ar_title)
    rows = []
    for name, scores in zip(("engine", "reference"), result.scores, strict=True):
        rows += [(f"{name}, boxes", *_percents(scores.box)), (f"{name}, masks", *_percents(scores.mask))]
    yield table(titles, rows)


def _percents(scores: RegionScores) -> list[str]:
    values = (scores.ap, scores.ap50, scores.ap75, scores.ap_small, scores.ap_medium, scores.ap_large, scores.ar)
    return ["-" if value is None else f"{100 * value:.2f}" for value in values]


def _tensors(result: EngineDiff) -> Iterator[str]:
    if result.heads:
        yield "<h2>Heads</h2>"
        yield _tensor_table(result.heads, None)
    if not result.layers:
        return
    yield "<h2>Layers</h2>"
    yield (
        "<p>The blue line is the relative error of each layer (RMS of the difference over RMS of the reference), in "
        "the order of the network. The orange bars are the error that each layer adds itself, computed from the "
        "reference's values at its inputs: a mistake shows as a bar at its layer and in the line from there on.</p>"
    )
    marked = None if result.passed else result.suspect  # red is for what failed
    yield draw_chart(result.layers, marked)
    yield f"<details><summary>All {len(result.layers)} layers</summary>"
    yield _tensor_table(result.layers, marked)
    yield "</details>"


def _tensor_table(diffs: Sequence[TensorDiff], suspect: TensorDiff | None) -> str:
    rows = [
        (
            diff.name,
            f"{diff.max_abs:.2g}",
            f"{diff.mean_abs:.2g}",
            f"{diff.relative:.2g}",
            "-" if diff.added is None else f"{diff.added:.2g}",
            f"{diff.cosine:.6f}",
        )
        for diff in diffs
    ]
    marked = None if suspect is None else suspect.name
    return table(("", "max abs", "mean abs", "relative", "added", "cosine"), rows, marked=marked)


def _pictures(worst: Sequence[WorstImage], threshold: float) -> Iterator[str]:
    shown = [image for image in worst if image.diff.matches or image.diff.missed or image.diff.spurious]
    if not shown:
        return
    yield "<h2>Images that differ most</h2>"
    yield (
        f"<p>Detections that score above {threshold:g}. The difference shows the pixels that only the <span "
        'class="key tested"></span>engine or only the <span class="key reference"></span>reference gives to an object, '
        "and the boxes of detections without a partner.</p>"
    )
    for image in shown:
        diff = image.diff
        counts = f"{len(diff.matches)} matched, {len(diff.missed)} missed, {len(diff.spurious)} spurious"
        yield f"<h3>{text(image.name)}</h3>"
        yield f'<p class="soft">{counts}</p><div class="pictures">'
        for title, data in (
            ("engine", image.tested),
            ("reference", image.reference),
            ("difference", image.difference),
        ):
            yield figure(data, title, f"{title}: {image.name}, {counts}")
        yield "</div>"


def _images(result: EngineDiff) -> Iterator[str]:
    yield f"<h2>Every image</h2><details><summary>{count_noun(len(result.images), 'image')}</summary>"
    rows = [
        (
            name,
            str(len(diff.matches)),
            str(len(diff.missed)),
            str(len(diff.spurious)),
            f"{min(match.box_iou for match in diff.matches):.4f}" if diff.matches else "-",
            f"{min(match.mask_iou for match in diff.matches):.4f}" if diff.matches else "-",
        )
        for name, diff in result.images
    ]
    yield table(("", "matched", "missed", "spurious", "lowest box IoU", "lowest mask IoU"), rows)
    yield "</details>"


def _command(result: EngineDiff) -> Iterator[str]:
    yield "<h2>Repeat it with Polygraphy</h2>"
    if result.command is None:
        yield "<p>Polygraphy alone cannot repeat this: it runs no checkpoints, no bf16 on a CPU, and no OpenVINO.</p>"
    else:
        yield f"<pre>{text(result.command)}</pre>"
