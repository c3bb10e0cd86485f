"""`yolact-sensitivity`: which modules or layers lose how much by INT8, and which to leave out."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from yolact import __version__
from yolact.calib.options import Int8Request, require_data
from yolact.calib.quantization_points import DEFAULT_MODULES
from yolact.cli.command import reports_errors
from yolact.cli.int8_options import int8_options
from yolact.runtime.errors import AccuracyError, UsageError
from yolact.runtime.output_files import check_output, write_outputs

if TYPE_CHECKING:
    from yolact.calib.image_set import ImageSet
    from yolact.calib.sensitivity.ranking import Granularity
    from yolact.calib.sensitivity.report import Report
    from yolact.training.data.ground_truth import GroundTruth

MAX_AP_DROP = 0.5
"""Points, where --max-ap-drop is not given."""

COMPARED = 16
"""Images on which heads are compared."""

_CHARTS = (".png", ".svg")


def _check_limit(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not 0 <= value < math.inf:  # unlike click.FloatRange this refuses nan
        raise click.BadParameter(f"expected a number from 0, got {value}")
    return value


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option(
    "--onnx",
    "onnx_file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="ONNX file written by yolact-export in full precision.",
)
@click.option(
    "--annotations",
    type=click.Path(path_type=Path),
    help="Annotation file in COCO's format: the cost is the mask AP lost there. Without it the cost is how far the "
    "network's heads move on calibration images.",
)
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the annotated images.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Take only the first so many annotated images.")
@click.option("--by", type=click.Choice(["modules", "layers"]), default="modules", help="What is ranked.")
@click.option(
    "--max-ap-drop",
    type=float,
    callback=_check_limit,
    help=f"Points of mask AP that INT8 may cost in all.  [default: {MAX_AP_DROP}]",
)
@click.option(
    "--max-distance",
    type=float,
    callback=_check_limit,
    help="Without annotations: how far the heads may move in all; by default they are only ranked.",
)
@click.option(
    "--distance-count",
    type=click.IntRange(min=1),
    help=f"Without annotations: calibration images to compare the heads on.  [default: {COMPARED}]",
)
@click.option(
    "--chart",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the ranking here: a name that ends in .png or .svg.",
)
@click.option(
    "--json",
    "json_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write all figures here.",
)
@click.version_option(__version__)
@reports_errors
@int8_options
def main(
    onnx_file: Path,
    annotations: Path | None,
    images: Path | None,
    limit: int | None,
    by: Granularity,
    max_ap_drop: float | None,
    max_distance: float | None,
    distance_count: int | None,
    chart: Path | None,
    json_file: Path | None,
    request: Int8Request,
) -> None:
    """Rank a network's modules or layers by what each costs if it alone is in INT8, and propose those to exclude.

    The proposal is the shortest list of the most costly whose exclusion keeps the cost of all the others within the
    limit, measured with all of these in INT8 at once. INT8 is for TensorRT unless --int8-platform says otherwise.

    Exit codes: 0 done, 1 an input or an output failed, 2 wrong usage, 3 no list short of everything meets the limit,
    4 no ONNX file of this toolkit in full precision, 130 interrupted.
    """
    data = require_data(request)
    for_annotations = {"--images": images, "--limit": limit, "--max-ap-drop": max_ap_drop}
    for_distances = {"--max-distance": max_distance, "--distance-count": distance_count}
    _check_measure(annotations, for_annotations, for_distances)
    outputs = {"--chart": chart, "--json": json_file}
    _check_outputs(outputs, [onnx_file, annotations, request.options.cache])
    # OpenCV reports on stderr what this command reports in a sentence; it reads this when it is loaded.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    from yolact.calib.image_set import ImageSet
    from yolact.calib.sensitivity.analysis import analyse, read_unquantised
    from yolact.calib.sensitivity.ranking import Int8Selection

    model = read_unquantised(onnx_file)
    platform = request.platform or "tensorrt"
    selection = Int8Selection(model.proto, request.modules or DEFAULT_MODULES[platform], request.exclude, platform)
    calibration = ImageSet.of_folder(data, request.count)
    measured_on: GroundTruth | ImageSet
    if annotations is None:
        measured_on = ImageSet.of_folder(data, min(distance_count or COMPARED, request.count))
        allowed = max_distance
    else:
        from yolact.training.data.ground_truth import read_ground_truth

        assert images is not None  # as `_check_measure` saw
        measured_on = read_ground_truth(annotations, images, limit)
        allowed = MAX_AP_DROP if max_ap_drop is None else max_ap_drop
    _check_outputs(outputs, [*calibration.paths, *measured_on.paths])
    report = analyse(model, selection, by, (calibration, request.options), measured_on, allowed)
    _write(report, chart, json_file)
    limit_option = "--max-distance" if annotations is None else "--max-ap-drop"
    for line in report.lines(limit_option, _calibration_words(data, request)):
        click.echo(click.format_filename(line))
    if (failure := report.failure(limit_option)) is not None:
        raise AccuracyError(failure)


def _check_measure(
    annotations: Path | None, for_annotations: Mapping[str, object], for_distances: Mapping[str, object]
) -> None:
    """Options that go with annotations, and those that go without."""
    unwanted = for_annotations if annotations is None else for_distances
    given = [option for option, value in unwanted.items() if value is not None]
    if given and annotations is None:
        raise UsageError(f"{given[0]} goes with --annotations; without them there is --max-distance")
    if given:
        raise UsageError(f"{given[0]} is for measuring without --annotations; with them there is --max-ap-drop")
    if annotations is not None and for_annotations["--images"] is None:
        raise UsageError("--annotations needs the folder of its images; give it with --images")


def _check_outputs(outputs: dict[str, Path | None], inputs: Iterable[Path | None]) -> None:
    known = list(inputs)
    for option, path in outputs.items():
        if path is None:
            continue
        if option == "--chart" and path.suffix.lower() not in _CHARTS:
            raise UsageError(f"--chart {path}: expected a name that ends in {' or '.join(_CHARTS)}")
        check_output(option, path, known)
        known.append(path)


def _write(report: Report, chart: Path | None, json_file: Path | None) -> None:
    files = {}
    if chart is not None:
        from yolact.calib.sensitivity.chart import draw_chart

        files[chart] = draw_chart(report.bars(), report.title, report.measured, chart.suffix.lower())
    if json_file is not None:
        files[json_file] = report.to_json()
    write_outputs(files)


def _calibration_words(data: Path, request: Int8Request) -> list[str]:
    """Options of the export that calibrate as it was done here."""
    values: dict[str, object] = {
        "--calib-count": request.count,
        "--calib-batch": request.options.batch,
        "--calib-cache": request.options.cache,
        "--calib-algorithm": request.options.algorithm,
    }
    given = [word for option, value in values.items() if option in request.given for word in (option, str(value))]
    return ["--calib-data", str(data), *given]


if __name__ == "__main__":
    main()
