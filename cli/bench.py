"""The command `yolact-bench`: how fast an engine file is, stage by stage."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from yolact import __version__
from yolact.cli.command import reports_errors, running_options
from yolact.runtime.output_files import check_output, write_output

if TYPE_CHECKING:
    from yolact.runtime.bench.stages import MaskForm
    from yolact.runtime.engine import DeviceChoice


def _check_duration(context: click.Context, parameter: click.Parameter, value: float) -> float:
    if not 0 < value < math.inf:  # unlike click.FloatRange this refuses nan
        raise click.BadParameter(f"expected seconds, more than 0, got {value}")
    return value


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("images", metavar="[IMAGE]...", nargs=-1)
@click.option(
    "--engine",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="ONNX file written by yolact-export, or a TensorRT plan.",
)
@running_options
@click.option(
    "--batch",
    "batches",
    multiple=True,
    type=click.IntRange(min=1),
    help="Images at once; may be repeated.  [default: the fewest that the file takes, mostly 1]",
)
@click.option(
    "--duration",
    metavar="SECONDS",
    default=10.0,
    show_default=True,
    type=float,
    callback=_check_duration,
    help="Time for each batch size, and as much for the numbers of detections.",
)
@click.option(
    "--masks",
    default="full",
    show_default=True,
    type=click.Choice(["full", "rle"]),
    help="What post-processing ends in: arrays at image size, or COCO run-length encoding.",
)
@click.option(
    "--json",
    "json_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write all figures to this file.",
)
@click.version_option(__version__)
@reports_errors
def main(
    images: tuple[str, ...],
    engine: Path,
    device: DeviceChoice | None,
    metadata_file: Path | None,
    allow_host_code: bool,
    batches: tuple[int, ...],
    duration: float,
    masks: MaskForm,
    json_file: Path | None,
) -> None:
    """Measure an engine file stage by stage, from the bytes of image files to masks.

    IMAGE is an image file or a folder of images; they take turns. Without any, a made-up scene of 1280x720 pixels is
    used.

    Exit codes: 0 done, 1 an image or the output failed, 2 wrong usage, 4 the engine does not fit this runtime, 130
    interrupted.
    """
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # this command says in a sentence what OpenCV would print
    from yolact.runtime.bench.measure import BenchRequest, run_benchmark
    from yolact.runtime.bench.photos import find_photos
    from yolact.runtime.bench.report import report_lines

    photos = find_photos(images)
    if json_file is not None:
        check_output("--json", json_file, [engine, metadata_file, *map(Path, photos.names)])
    request = BenchRequest(engine, batches, duration, masks, device, metadata_file, allow_host_code)
    result = run_benchmark(request, photos)
    for line in report_lines(result):
        click.echo(click.format_filename(line))
    if json_file is not None:
        write_output(json_file, (json.dumps(result, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
