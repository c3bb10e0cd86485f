"""Post-processing: its settings, which an export builds into the file, and its limits where a model is measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import click

from yolact.cli.options.groups import option_group
from yolact.runtime.config import MAX_KEPT, Nms, PostprocessConfig
from yolact.runtime.errors import UsageError
from yolact.runtime.metadata import ModelMetadata

_OFFICIAL = PostprocessConfig()

_NMS_TOP_K = click.option(
    "--nms-top-k",
    type=int,
    help=f"Candidates per class that enter NMS.  [default: {_OFFICIAL.top_k}, or --max-detections if that is more]",
)


class DetectionLimits(NamedTuple):
    """How many detections of an image are kept, and how many candidates of a class enter NMS; None: not given."""

    max_detections: int | None
    nms_top_k: int | None

    def of(self, settings: PostprocessConfig) -> PostprocessConfig:
        """The settings with these limits. Raises FieldError for an impossible limit."""
        most = settings.max_detections if self.max_detections is None else self.max_detections
        return replace(settings, max_detections=most, top_k=_top_k(self.nms_top_k, most, settings.top_k))

    def check_built_in(self, metadata: ModelMetadata, file: Path) -> None:
        """Raise UsageError where these limits ask for more than the full graph of an engine file has built in."""
        built_in = metadata.postprocess.max_detections
        if self.max_detections is not None and not 1 <= self.max_detections <= built_in:
            raise UsageError(
                f"--max-detections {self.max_detections}: expected 1 to {built_in}, the most per image that {file} has "
                f"built in; for more, export it with --max-detections {max(self.max_detections, 1)}"
            )
        if self.nms_top_k is not None:
            raise UsageError(
                f"--nms-top-k: {file} has its NMS built in, with {metadata.postprocess.top_k} candidates per class; "
                f"export it with --nms-top-k {self.nms_top_k}"
            )


def _top_k(given: int | None, max_detections: int, usual: int) -> int:
    """With fewer candidates than detections, a single class could never have as many as were asked for."""
    return min(max(usual, max_detections), MAX_KEPT) if given is None else given


@option_group(
    "postprocess",
    click.option(
        "--score-threshold",
        type=float,
        default=_OFFICIAL.score_threshold,
        help="Score that the best class of a candidate must exceed.",
    ),
    click.option(
        "--nms-threshold",
        type=float,
        default=_OFFICIAL.nms_threshold,
        help="IoU of two boxes above which the one that scores lower is dropped.",
    ),
    _NMS_TOP_K,
    click.option("--max-detections", type=int, default=_OFFICIAL.max_detections, help="Most detections per image."),
    click.option("--cross-class-nms", is_flag=True, help="Let boxes of different classes suppress each other."),
)
def postprocess_options(
    score_threshold: float, nms_threshold: float, nms_top_k: int | None, max_detections: int, cross_class_nms: bool
) -> PostprocessConfig:
    """The official evaluation's settings, unless others are given."""
    nms: Nms = "cross-class" if cross_class_nms else "fast"
    return PostprocessConfig(
        score_threshold, nms_threshold, _top_k(nms_top_k, max_detections, _OFFICIAL.top_k), max_detections, nms
    )


@option_group(
    "limits",
    click.option(
        "--max-detections",
        type=int,
        help="Most detections per image; no more than an engine file has built in.  [default: "
        f"{_OFFICIAL.max_detections} for a checkpoint, for an engine file the number built in]",
    ),
    _NMS_TOP_K,
)
def detection_limit_options(max_detections: int | None, nms_top_k: int | None) -> DetectionLimits:
    """Limits of the post-processing where a model is measured."""
    return DetectionLimits(max_detections, nms_top_k)
