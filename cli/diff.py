"""The command `yolact-diff`: where two engines differ, layer by layer and detection by detection."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from yolact.cli.command import command, say
from yolact.cli.options.common import annotations_option, config_option, limit_option, max_pixels_option
from yolact.cli.options.engine import engine_options
from yolact.cli.options.limits import limit_options
from yolact.cli.options.named import WEIGHTS
from yolact.cli.options.reading import reading_options
from yolact.cli.options.values import FILE, OUTPUT_FILE
from yolact.runtime.errors import DatasetError
from yolact.runtime.output_files import check_output, write_output
from yolact.runtime.wording import count_noun

if TYPE_CHECKING:
    from yolact.diff.detection_diff import DetectionTotals
    from yolact.diff.engine_diff import EngineDiff
    from yolact.diff.gates import Limits
    from yolact.diff.tensor_diff import TensorDiff
    from yolact.runtime.engine import EngineOptions
    from yolact.training.data.coco.reading_rules import ReadingRules
    from yolact.training.evaluation.scores import Scores

ACCURACY_FAILED = 3
"""Exit code where a limit is broken."""

_LISTED = 10  # layers on the terminal; the report has all


@command("yolact-diff")
@click.option(
    "--engine", metavar="FILE|NAME", required=True, type=WEIGHTS, help="Engine under test: .onnx, .pth or .plan."
)
@click.option("--reference", metavar="FILE|NAME", required=True, type=WEIGHTS, help="Engine to compare it with.")
@click.option("--data", metavar="DIR", type=FILE, help="Folder of images.  [default: two made-up scenes]")
@limit_option()
@annotations_option("Annotation file of these images in COCO's format: measure the average precision of both engines.")
@reading_options("--annotations")
@click.option("--layers", is_flag=True, help="Compare all shared layers, and name the one where errors start.")
@click.option("--report", metavar="FILE", type=OUTPUT_FILE, help="Write the whole comparison to an HTML page.")
@config_option()
@limit_options
@engine_options
@max_pixels_option()
def main(
    engine: Path,
    reference: Path,
    data: Path | None,
    limit: int | None,
    annotations: Path | None,
    rules: ReadingRules,
    layers: bool,
    report: Path | None,
    config_name: str | None,
    limits: Limits,
    open_options: EngineOptions,
) -> None:
    """Show where an engine differs from a reference: in the network's heads, with --layers in every layer, and in the
    detections, matched by class and overlap. Prints the commands that repeat the comparison with Polygraphy alone.

    Exit codes: 0 all limits are kept, 3 a limit is broken, 1 an input or the output failed or the reference's average
    precision is near zero, 2 wrong usage, 4 an engine does not fit this runtime or the other engine, 130 interrupted.
    """
    if report is not None:
        check_output("--report", report, (engine, reference, annotations, data, open_options.metadata_file))
    from yolact.diff.engine_diff import compare_engines
    from yolact.diff.images import find_images
    from yolact.diff.report import render_report
    from yolact.diff.request import DiffRequest

    request = DiffRequest(engine, reference, data, limit, annotations, layers, limits, open_options, config_name, rules)
    images = find_images(data, limit, annotations, rules)
    if report is not None and images.truth is not None:  # whose images may have names of any kind
        check_output("--report", report, images.truth.paths)
    result = compare_engines(request, images)
    if report is not None:
        write_output(report, render_report(result).encode())
    for line in _summary(result):
        say(line)
    if not result.passed:
        sys.exit(ACCURACY_FAILED)
    if result.doubt is not None:
        raise DatasetError(result.doubt)


def _summary(result: EngineDiff) -> Iterator[str]:
    """Lines of the output."""
    request = result.request
    yield f"engine     {request.tested} ({result.names[0]})"
    yield f"reference  {request.reference} ({result.names[1]})"
    yield f"on {count_noun(len(result.images), 'image')}, {result.image_size}x{result.image_size}"
    for note in result.notes:
        yield f"note: {note}"
    yield ""
    yield from _tensor_table("head", result.heads)
    if result.layers:
        yield from _layer_lines(result)
    yield from _detection_lines(result.totals, request.limits.score_threshold)
    if result.scores is not None:
        yield from _score_lines(result.scores)
    for gate in result.gates:
        yield str(gate)
    yield ""
    if result.command is None:
        yield "Polygraphy alone cannot repeat this: it runs no checkpoints, no bf16 on a CPU, and no OpenVINO"
    else:
        yield "to repeat this comparison with Polygraphy:"
        yield from result.command.split("\n")


def _tensor_table(title: str, diffs: list[TensorDiff]) -> Iterator[str]:
    if not diffs:
        return
    width = max(len(title), *(len(diff.name) for diff in diffs))
    with_added = diffs[0].added is not None
    titles = ("max abs", "mean abs", "relative", *(["added"] if with_added else []), "cosine")
    yield f"{title:<{width}}  " + "".join(f"{name:>10}" for name in titles)
    for diff in diffs:
        figures = (diff.max_abs, diff.mean_abs, diff.relative, *([diff.added] if with_added else []))
        yield f"{diff.name:<{width}}  " + "".join(f"{figure:>10.2g}" for figure in figures) + f"{diff.cosine:>10.6f}"
    yield ""


def _layer_lines(result: EngineDiff) -> Iterator[str]:
    from yolact.diff.tensor_diff import SUSPICIOUS

    suspect = result.suspect
    if suspect is None:
        yield f"first suspect: none; no layer of {len(result.layers)} adds a relative error of {SUSPICIOUS:g} or more"
    else:
        kept = ", while all limits are kept" if result.passed else ""
        yield f"first suspect: {suspect.name}, which adds a relative error of {suspect.added:.2g} by itself{kept}"
    yield ""
    ranked = sorted((diff for diff in result.layers if diff.added), key=lambda diff: -(diff.added or 0))[:_LISTED]
    yield from _tensor_table("layers that add most", ranked)


def _detection_lines(totals: DetectionTotals, threshold: float) -> Iterator[str]:
    yield (
        f"detections that score above {threshold:g}: {totals.matched} matched, {totals.missed} missed, "
        f"{totals.spurious} spurious"
    )
    if totals.matched:
        yield (
            f"matched detections: box IoU median {totals.median_box_iou:.4f}, lowest {min(totals.box_ious):.4f}; mask "
            f"IoU median {totals.median_mask_iou:.4f}, lowest {min(totals.mask_ious):.4f}; largest score "
            f"difference {totals.max_score_difference:.4f}"
        )
    if totals.poor_masks:
        from yolact.diff.detection_diff import poor_masks_sentence

        yield poor_masks_sentence(totals)
    yield ""


def _score_lines(scores: tuple[Scores, Scores]) -> Iterator[str]:
    if scores[0].ap_words != "AP":
        yield scores[0].ap_words
    yield f"{'AP':<10}{'box':>8}{'box50':>8}{'mask':>8}{'mask50':>8}"
    for name, of_one in zip(("engine", "reference"), scores, strict=True):
        values = (of_one.box.ap, of_one.box.ap50, of_one.mask.ap, of_one.mask.ap50)
        yield f"{name:<10}" + "".join(f"{'-' if value is None else f'{100 * value:.2f}':>8}" for value in values)
    yield ""


if __name__ == "__main__":
    main()
