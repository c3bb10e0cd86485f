"""Encoders for annotated videos: browsers play their videos, and they keep up with a camera."""

from __future__ import annotations

import os
from typing import Literal, get_args

import av

from yolact.runtime.errors import UsageError

VideoCodec = Literal["h264", "vp9", "av1"]
"""Codecs that browsers play in an MP4."""

_ENCODERS: dict[VideoCodec, dict[str, dict[str, str]]] = {
    "h264": {"libx264": {"preset": "ultrafast", "crf": "20", "bf": "0"}, "libopenh264": {"rc_mode": "quality"}},
    "vp9": {"libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "row-mt": "1", "crf": "30", "b": "0"}},
    "av1": {"libsvtav1": {"preset": "11", "crf": "30"}, "libaom-av1": {"usage": "realtime", "cpu-used": "9"}},
}


def find_encoder(codec: VideoCodec | None) -> tuple[str, dict[str, str]]:
    """FFmpeg's name of an encoder and its options; None stands for the first codec that there is one for.

    Raises UsageError where this PyAV has none.
    """
    for wanted in get_args(VideoCodec) if codec is None else (codec,):
        for name, options in _ENCODERS[wanted].items():
            if name in av.codecs_available:
                os.environ.setdefault("SVT_LOG", "1")  # libsvtav1 prints what it is, unless it is told to print errors
                return name, options
    present = [one for one in _ENCODERS if any(name in av.codecs_available for name in _ENCODERS[one])]
    advice = f"choose --codec {' or '.join(present)}" if present else "install the wheel of PyAV: pip install av"
    raise UsageError(f"this PyAV has no encoder for {codec or 'any codec that browsers play'}; {advice}")
