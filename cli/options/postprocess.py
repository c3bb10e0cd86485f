"""How raw heads become detections, as it is built into what is exported."""

from __future__ import annotations

import click

from yolact.cli.options.groups import option_group
from yolact.runtime.config import Nms, PostprocessConfig

_OFFICIAL = PostprocessConfig()


@option_group(
    "postprocess",
    click.option(
        "--score-threshold",
        type=float,
        default=_OFFICIAL.score_threshold,
        help="Best class score a candidate must exceed.",
    ),
    click.option(
        "--nms-threshold", type=float, default=_OFFICIAL.nms_threshold, help="IoU above which the worse box goes."
    ),
    click.option("--nms-top-k", type=int, default=_OFFICIAL.top_k, help="Candidates per class that enter NMS."),
    click.option("--max-detections", type=int, default=_OFFICIAL.max_detections, help="Detections per image."),
    click.option("--cross-class-nms", is_flag=True, help="Let boxes of different classes suppress each other."),
)
def postprocess_options(
    score_threshold: float, nms_threshold: float, nms_top_k: int, max_detections: int, cross_class_nms: bool
) -> PostprocessConfig:
    """The official evaluation's settings, unless others are given."""
    nms: Nms = "cross-class" if cross_class_nms else "fast"
    return PostprocessConfig(score_threshold, nms_threshold, nms_top_k, max_detections, nms)
