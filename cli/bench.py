"""The command `yolact-bench`: how fast an engine file is, stage by stage."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from yolact.cli.command import command, say
from yolact.cli.options.common import engine_option, json_option, max_pixels_option
from yolact.cli.options.engine import engine_options
from yolact.cli.options.values import AT_LEAST_1
from yolact.runtime.errors import UsageError
from yolact.runtime.json_text import to_json
from yolact.runtime.output_files import check_output, write_output

if TYPE_CHECKING:
    from yolact.runtime.bench.measure import BenchRequest
    from yolact.runtime.bench.stages import MaskForm
    from yolact.runtime.engine import EngineOptions


def _check_duration(context: click.Context, parameter: click.Parameter, value: float) -> float:
    if not 0 < value < math.inf:  # unlike click.FloatRange this refuses nan
        raise click.BadParameter(f"expected a number of seconds above 0, got {value}")
    return value


@command("yolact-bench")
@click.argument("images", metavar="[IMAGE]...", nargs=-1)
@engine_option("ONNX file written by yolact-export, or a TensorRT plan.")
@engine_options
@click.option(
    "--batch",
    "batches",
    multiple=True,
    type=AT_LEAST_1,
    help="Images per call; may be repeated.  [default: the fewest that the file takes, usually 1]",
)
@click.option(
    "--duration",
    metavar="SECONDS",
    default=10.0,
    type=float,
    callback=_check_duration,
    help="Duration of each measurement: stage by stage and streamed for each batch size, and by number of detections.",
)
@click.option(
    "--masks",
    default="full",
    type=click.Choice(["full", "rle"]),
    help="Masks that post-processing makes: arrays at image size (full), or COCO run-length encoding (rle).",
)
@click.option(
    "--source",
    metavar="FILE|video",
    help="Measure a video instead, from decoding to encoding: a file, or a made-up film (video).",
)
@json_option("Write all figures to this file.")
@max_pixels_option()
def main(
    images: tuple[str, ...],
    engine: Path,
    open_options: EngineOptions,
    batches: tuple[int, ...],
    duration: float,
    masks: MaskForm,
    source: str | None,
    json_file: Path | None,
) -> None:
    """Measure an engine file stage by stage, from the bytes of image files to masks.

    IMAGE is an image file or a folder of images. Several images take turns; without any, a made-up scene of 1280x720
    pixels is used.

    With --source, frames pass through the stages of yolact-infer. The command prints how long each stage works and
    waits, and what share of the engine's own throughput the video reaches.

    Exit codes: 0 done, 1 an image or the output failed, 2 wrong usage, 4 the engine does not fit this runtime, 130
    interrupted.
    """
    from yolact.runtime.bench.measure import BenchRequest, run_benchmark
    from yolact.runtime.bench.photos import find_photos
    from yolact.runtime.bench.report import report_lines

    if source is not None:
        _check_video_options(images, json_file, source, [engine, open_options.metadata_file])
        _measure_video(BenchRequest(engine, (), duration, masks, open_options), source, json_file)
        return
    photos = find_photos(images)
    if json_file is not None:
        check_output("--json", json_file, [engine, open_options.metadata_file, *map(Path, photos.names)])
    request = BenchRequest(engine, batches, duration, masks, open_options)
    result = run_benchmark(request, photos)
    for line in report_lines(result):
        say(line)
    if json_file is not None:
        write_output(json_file, (to_json(result, indent=2) + "\n").encode())


def _check_video_options(
    images: tuple[str, ...], json_file: Path | None, source: str, inputs: list[Path | None]
) -> None:
    """Raise UsageError where options do not go with --source."""
    context = click.get_current_context()
    given = [name for name in ("batches", "masks") if context.get_parameter_source(name) is not ParameterSource.DEFAULT]
    if given or images:
        name = "IMAGE" if images else {"batches": "--batch", "masks": "--masks"}[given[0]]
        raise UsageError(f"--source measures frames one at a time, drawn and encoded; leave out {name}")
    if json_file is not None:
        check_output("--json", json_file, [*inputs, Path(source)])


def _measure_video(request: BenchRequest, source: str, json_file: Path | None) -> None:
    """Measure, print, and write what is asked for."""
    from yolact.runtime.bench.video import run_video_benchmark, video_lines

    result = run_video_benchmark(request, source)
    for line in video_lines(result):
        say(line)
    if json_file is not None:
        write_output(json_file, (to_json(result, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
