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
        help="Codec of written videos.  [default: the first of these that PyAV can encode]",
    ),
    click.option("--audio", is_flag=True, help="Copy the sound of video files into the written ones."),
    click.option("--max-frames", type=AT_LEAST_1, help="Most frames to take from a video."),
    click.option("--stride", default=1, type=AT_LEAST_1, help="Take one frame of a video in this many."),
    click.option(
        "--duration",
        type=float,
        metavar="SECONDS",
        callback=check_amount,
        help="Take only the first seconds of a video, or this many seconds of a stream.",
    ),
    click.option(
        "--reconnect",
        default=0,
        type=click.IntRange(min=0),
        metavar="N",
        help="Reconnect to a stream that breaks off, up to this many times in a row.",
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
    """The options about videos as one object."""
    return VideoOptions(codec, audio, max_frames, stride, duration, reconnect)
