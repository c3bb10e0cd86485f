"""The command `yolact-infer`: instances in images, videos and camera streams."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from yolact.cli.command import command, report, say
from yolact.cli.options.common import (
    engine_option,
    folder_option,
    jpeg_decoder_option,
    json_option,
    max_pixels_option,
    score_threshold_option,
    triton_option,
)
from yolact.cli.options.engine import engine_options
from yolact.cli.options.groups import given_options
from yolact.cli.options.live import live_options
from yolact.cli.options.values import AT_LEAST_1
from yolact.cli.options.video import video_options
from yolact.runtime.config import DISPLAY_TOP_K
from yolact.runtime.errors import UsageError

if TYPE_CHECKING:
    from yolact.runtime.engine import EngineOptions
    from yolact.runtime.images.drawing import ColorBy
    from yolact.runtime.live.options import LiveOptions
    from yolact.runtime.results import MaskFormat
    from yolact.runtime.triton.address import TritonAddress
    from yolact.runtime.video.options import VideoOptions


@command("yolact-infer")
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@engine_option(
    "ONNX file written by yolact-export, or a TensorRT plan; or weights, or owner/name on Hugging Face.", required=False
)
@triton_option()
@engine_options
@score_threshold_option()
@click.option(
    "--top-k",
    default=DISPLAY_TOP_K,
    type=AT_LEAST_1,
    help="Most detections to show per image, the best ones.",
)
@click.option("--classes", metavar="LIST", help="Show only these classes: names or ids, separated by commas.")
@folder_option("yolact-output", "Folder for annotated images (same name) and videos (.mp4); created if needed.")
@json_option("Write all detections to this file.")
@click.option(
    "--masks",
    default="rle",
    type=click.Choice(["rle", "polygon", "none"]),
    help="Masks in the JSON: COCO run-length encoding, outlines, or left out.",
)
@click.option(
    "--color-by",
    default="instance",
    type=click.Choice(["class", "instance"]),
    help="Give each class a colour of its own in pictures and videos, or each instance, by its rank in the image.",
)
@click.option(
    "--track",
    is_flag=True,
    help="Give each object an id that it keeps over the frames of a video, or over the images of a folder, in order.",
)
@click.option(
    "--smooth",
    is_flag=True,
    help="Average masks, boxes and scores of each object with those of earlier frames; implies --track.",
)
@video_options
@live_options
@max_pixels_option()
@jpeg_decoder_option()
def main(
    sources: tuple[str, ...],
    engine: Path | None,
    triton: TritonAddress | None,
    open_options: EngineOptions,
    score_threshold: float,
    top_k: int,
    classes: str | None,
    output: Path,
    json_file: Path | None,
    masks: MaskFormat,
    color_by: ColorBy,
    track: bool,
    smooth: bool,
    video_options: VideoOptions,
    live_options: LiveOptions,
) -> None:
    """Find instances in images and videos and draw them.

    SOURCE is an image, a video, a folder of images, a quoted pattern ('photos/**/*.jpg'), an http(s) URL of an image
    or video, an rtsp or rtmp stream, the index of a camera (0), or - for a video on the standard input.

    Prints a line for each image. A source that cannot be read is reported, and the others are processed all the same.
    Stop a camera with Ctrl-C: its video and the JSON are closed properly.

    Exit codes: 0 done, 1 a source or an output failed, 2 wrong usage, 4 the engine does not fit this runtime, 130
    interrupted.
    """
    from yolact.runtime.inference import InferenceRequest, run_inference

    request = InferenceRequest(
        _model(engine, triton),
        sources,
        score_threshold,
        top_k,
        open_options=open_options,
        classes=classes,
        output=output,
        json=json_file,
        masks=masks,
        color_by=color_by,
        track=track or smooth,
        smooth=smooth,
        video_options=video_options,
        live=live_options,
    )
    if not run_inference(request, say, report):
        sys.exit(1)


def _model(engine: Path | None, triton: TritonAddress | None) -> Path | TritonAddress:
    """The engine or the server's model. Raises UsageError unless exactly one is given, without options of the other."""
    model = triton if engine is None else engine
    if model is None or (engine is not None and triton is not None):
        raise UsageError(f"expected --engine or --triton, got {'neither' if model is None else 'both'}")
    names = "device", "threads", "metadata_file", "allow_host_code", "precision"
    others = () if triton is None else given_options(*names)
    if others:
        raise UsageError(
            f"{others[0]} is for an engine file that is opened here; the model of --triton is opened by a server"
        )
    return model


if __name__ == "__main__":
    main()
