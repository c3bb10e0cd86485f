"""Options about videos: which frames are taken, how they are written, and streams that break off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from yolact.cli.options.groups import option_group
from yolact.cli.options.values import AT_LEAST_1, check_amount
from yolact.runtime.video.options import VideoOptions

if TYPE_CHECKING:
    from yolact.runtime.video.encoders import VideoCodec


@option_group(
    "video_options",
    click.option(
        "--codec",
        type=click.Choice(["h264", "vp9", "av1"]),
        help="Codec of written videos; without it the first of these that PyAV can encode.",
    ),
    click.option("--audio", is_flag=True, help="Copy the sound of video files into the written ones."),
    click.option("--max-frames", type=AT_LEAST_1, help="Take this many frames of a video at most."),
    click.option("--stride", default=1, type=AT_LEAST_1, help="Take every so manieth frame of a video."),
    click.option(
        "--duration",
        type=float,
        metavar="SECONDS",
        callback=check_amount,
        help="Take the first seconds of a video, or so many of a stream.",
    ),
    click.option(
        "--reconnect",
        default=0,
        type=click.IntRange(min=0),
        metavar="N",
        help="Connect a stream that breaks off again, up to so many times in a row.",
    ),
)
def video_options(
    codec: VideoCodec | None,
    audio: bool,
    max_frames: int | None,
    stride: int,
    duration: float | None,
    reconnect: int,
) -> VideoOptions:
    """What is wished of videos."""
    return VideoOptions(codec, audio, max_frames, stride, duration, reconnect)
