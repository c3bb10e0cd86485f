"""The command `yolact-sensitivity`: the cost of INT8 in each module or layer, and which of them to leave out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from yolact.calib.options import MAX_AP_DROP, require_data
from yolact.calib.quantization_points import DEFAULT_MODULES
from yolact.cli.command import command, require_packages, say, warn
from yolact.cli.options.common import (
    annotations_option,
    engine_option,
    images_option,
    json_option,
    limit_option,
    max_pixels_option,
)
from yolact.cli.options.int8 import check_cache_output, int8_options, read_calibration_images
from yolact.cli.options.reading import reading_options
from yolact.cli.options.values import OUTPUT_FILE, check_amount
from yolact.runtime.errors import AccuracyError, UsageError
from yolact.runtime.output_files import check_output, write_outputs

if TYPE_CHECKING:
    from yolact.calib.image_set import ImageSet
    from yolact.calib.options import Int8Request
    from yolact.calib.sensitivity.ranking import Granularity
    from yolact.calib.sensitivity.report import Report
    from yolact.training.data.coco.reading_rules import ReadingRules
    from yolact.training.data.ground_truth import GroundTruth

COMPARED = 16
"""Images on which heads are compared unless the user says otherwise."""

_CHARTS = (".png", ".svg")


@command("yolact-sensitivity")
@engine_option("ONNX file written by yolact-export in full precision.", onnx=True)
@annotations_option(
    "Annotation file in COCO's format: the cost is the mask AP lost on its images. Without it, the cost is the "
    "relative RMS change of the network's heads on calibration images."
)
@images_option()
@reading_options("--annotations")
@limit_option(
    "Use only this many annotated images, the first ones.  [default: all]  Without annotations: calibration images on "
    f"which the heads are compared.  [default: {COMPARED}]"
)
@click.option("--by", type=click.Choice(["modules", "layers"]), default="modules", help="Parts to rank.")
@click.option(
    "--max-ap-drop",
    type=float,
    callback=check_amount,
    help=f"Points of mask AP that INT8 may cost in all.  [default: {MAX_AP_DROP}]",
)
@click.option(
    "--max-distance",
    type=float,
    callback=check_amount,
    help="Without annotations: relative RMS change of the heads that INT8 may cost in all; by default, parts are only "
    "ranked.",
)
@click.option(
    "--chart", metavar="FILE", type=OUTPUT_FILE, help="Draw the ranking into this file, which ends in .png or .svg."
)
@json_option("Write all figures to this file.")
@int8_options
@max_pixels_option()
def main(
    engine: Path,
    annotations: Path | None,
    images: Path | None,
    rules: ReadingRules,
    limit: int | None,
    by: Granularity,
    max_ap_drop: float | None,
    max_distance: float | None,
    chart: Path | None,
    json_file: Path | None,
    quantization: Int8Request,
) -> None:
    """Rank a network's modules or layers by the cost of each alone in INT8, and propose those to exclude.

    The proposal excludes the most costly parts, and only as many as needed to keep the cost of all others, measured
    together in INT8, within the limit. INT8 is for TensorRT unless --int8-platform says otherwise.

    Exit codes: 0 done, 1 an input or an output failed, 2 wrong usage, 3 only excluding everything would meet the limit,
    4 the file is no ONNX file of this toolkit in full precision, 130 interrupted.
    """
    data = require_data(quantization)
    _check_measure(annotations, images, max_ap_drop, max_distance)
    outputs = {"--chart": chart, "--json": json_file}
    inputs = [engine, annotations, images, data]
    check_cache_output(quantization.options.cache, inputs)
    _check_outputs(outputs, [*inputs, quantization.options.cache])
    require_packages("ranking by INT8", "export", "onnx")
    from yolact.calib.sensitivity.analysis import analyse, read_unquantised
    from yolact.calib.sensitivity.ranking import Int8Selection

    calibration = read_calibration_images(quantization, warn)
    model = read_unquantised(engine)
    platform = quantization.platform or "tensorrt"
    selection = Int8Selection(
        model.proto, quantization.modules or DEFAULT_MODULES[platform], quantization.exclude, platform
    )
    if annotations is None:
        option, allowed = "--max-distance", max_distance
    else:
        option, allowed = "--max-ap-drop", MAX_AP_DROP if max_ap_drop is None else max_ap_drop
    measured_on = _read_measured(annotations, images, limit, rules, data, quantization.limit)
    _check_outputs(outputs, measured_on.paths)
    report = analyse(model, selection, by, (calibration, quantization.options), measured_on, allowed)
    _write(report, chart, json_file)
    _tell(report, option, _calibration_words(data, quantization))


def _read_measured(
    annotations: Path | None, images: Path | None, limit: int | None, rules: ReadingRules, data: Path, most: int
) -> GroundTruth | ImageSet:
    """The images to measure INT8 on: annotated ones, or the first calibration images, at most ``most``."""
    if annotations is None or images is None:
        from yolact.calib.image_set import ImageSet

        return ImageSet.of_folder(data, min(limit or COMPARED, most))
    from yolact.training.data.ground_truth import read_ground_truth

    return read_ground_truth(annotations, images, limit, rules)


def _check_measure(
    annotations: Path | None, images: Path | None, max_ap_drop: float | None, max_distance: float | None
) -> None:
    """Raise UsageError for an option that needs --annotations and lacks it, or that excludes it."""
    if annotations is not None:
        if images is None:
            raise UsageError("--annotations needs the folder of its images; give it with --images")
        if max_distance is not None:
            raise UsageError("--max-distance is for measuring without --annotations; give --max-ap-drop with them")
        return
    for option, value in {"--images": images, "--max-ap-drop": max_ap_drop}.items():
        if value is not None:
            raise UsageError(f"{option} needs --annotations; without them, the limit is --max-distance")


def _check_outputs(outputs: dict[str, Path | None], inputs: Iterable[Path | None]) -> None:
    known = list(inputs)
    for option, path in outputs.items():
        if path is not None:
            check_output(option, path, known, _CHARTS if option == "--chart" else ())
            known.append(path)


def _write(report: Report, chart: Path | None, json_file: Path | None) -> None:
    files = {}
    if chart is not None:
        from yolact.calib.sensitivity.chart import draw_chart

        files[chart] = draw_chart(report.bars(), report.title, report.measured, chart.suffix.lower())
    if json_file is not None:
        files[json_file] = report.to_json()
    write_outputs(files)


def _tell(report: Report, option: str, calibration: list[str]) -> None:
    """Print the report; raise AccuracyError where no list meets the limit."""
    for line in report.lines(option, calibration):
        say(line)
    if (failure := report.failure(option)) is not None:
        raise AccuracyError(failure)


def _calibration_words(data: Path, request: Int8Request) -> list[str]:
    """The options of yolact-export that calibrate in the same way."""
    values: dict[str, object] = {
        "--calib-limit": request.limit,
        "--calib-batch": request.options.batch,
        "--calib-cache": request.options.cache,
        "--calib-algorithm": request.options.algorithm,
    }
    given = [word for option, value in values.items() if option in request.given for word in (option, str(value))]
    return ["--calib-data", str(data), *given]


if __name__ == "__main__":
    main()
