"""The command `yolact-infer`: instances in images, videos and camera streams."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from yolact import __version__
from yolact.cli.command import check_fraction, print_above_bar, report_above_bar, reports_errors, running_options

if TYPE_CHECKING:
    from yolact.runtime.engine import DeviceChoice
    from yolact.runtime.results import MaskFormat


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option(
    "--engine",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="ONNX file written by yolact-export, or a TensorRT plan.",
)
@running_options
@click.option(
    "--score-threshold",
    default=0.15,
    show_default=True,
    type=float,
    callback=check_fraction,
    help="Leave out detections that score lower.",
)
@click.option(
    "--top-k",
    default=15,
    show_default=True,
    type=click.IntRange(min=1),
    help="Show this many detections of an image at most, the best ones.",
)
@click.option("--classes", metavar="LIST", help="Only these classes: names or ids, separated by commas.")
@click.option(
    "--output",
    metavar="DIR",
    default="yolact-output",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for annotated images (same name) and videos (.mp4); created if needed.",
)
@click.option(
    "--json",
    "json_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write all detections to this file.",
)
@click.option(
    "--masks",
    default="rle",
    show_default=True,
    type=click.Choice(["rle", "polygon", "none"]),
    help="Masks in the JSON: COCO run-length encoding, outlines, or left out.",
)
@click.version_option(__version__)
@reports_errors
def main(
    sources: tuple[str, ...],
    engine: Path,
    device: DeviceChoice | None,
    metadata_file: Path | None,
    allow_host_code: bool,
    score_threshold: float,
    top_k: int,
    classes: str | None,
    output: Path,
    json_file: Path | None,
    masks: MaskFormat,
) -> None:
    """Find instances in images and videos and draw them.

    SOURCE is an image, a video, a folder of images, a quoted pattern ('photos/**/*.jpg'), an http(s) URL of an image
    or video, an rtsp or rtmp stream, or the index of a camera (0).

    Prints a line for each image. A source that cannot be read is reported and the others are done all the same. Stop a
    camera with Ctrl-C: its video and the JSON are closed properly.

    Exit codes: 0 done, 1 a source or an output failed, 2 wrong usage, 4 the engine does not fit this runtime, 130
    interrupted.
    """
    # OpenCV and FFmpeg report on stderr what this command reports in a sentence; they read this when they are loaded.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    from yolact.runtime.inference import InferenceRequest, run_inference

    request = InferenceRequest(
        engine,
        sources,
        score_threshold,
        top_k,
        device=device,
        metadata_file=metadata_file,
        allow_host_code=allow_host_code,
        classes=classes,
        output=output,
        json=json_file,
        masks=masks,
    )
    if not run_inference(request, print_above_bar, report_above_bar):
        sys.exit(1)


if __name__ == "__main__":
    main()
