"""How far two engines may differ."""

from __future__ import annotations

from collections.abc import Iterator

import click

from yolact.cli.options.groups import Decorator, option_group
from yolact.cli.options.values import check_fraction
from yolact.diff.gates import Limits

_OPTIONS = {
    "score_threshold": ("--score-threshold", "Both engines have to find the detections that score above this."),
    "max_head_error": ("--max-head-error", "Largest relative RMS error allowed in each of the network's heads."),
    "max_missed": ("--max-missed", "Share of the reference's detections that the engine may miss."),
    "max_spurious": ("--max-spurious", "Share of the engine's detections that the reference may lack."),
    "max_score_difference": ("--max-score-difference", "Largest score difference allowed between matched detections."),
    "min_box_iou": ("--min-box-iou", "Smallest median box IoU allowed for matched detections."),
    "min_mask_iou": ("--min-mask-iou", "Smallest median mask IoU allowed for matched detections."),
}


def _options() -> Iterator[Decorator]:
    defaults = Limits()
    for field, (option, text) in _OPTIONS.items():
        yield click.option(option, field, default=getattr(defaults, field), callback=check_fraction, help=text)


@option_group("limits", *_options())
def limit_options(
    score_threshold: float,
    max_head_error: float,
    max_missed: float,
    max_spurious: float,
    max_score_difference: float,
    min_box_iou: float,
    min_mask_iou: float,
) -> Limits:
    """One option for each limit."""
    return Limits(
        score_threshold, max_head_error, max_missed, max_spurious, max_score_difference, min_box_iou, min_mask_iou
    )
