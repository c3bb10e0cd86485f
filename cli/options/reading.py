"""How annotations and their images are read."""

from __future__ import annotations

from typing import get_args

import click

from yolact.cli.options.groups import Decorator, given_options, option_group
from yolact.runtime.errors import UsageError
from yolact.training.data.coco.reading_rules import Exif, ReadingRules

READING = (
    click.option(
        "--strict",
        is_flag=True,
        help="Refuse annotations whose boxes or areas do not fit their masks, rather than warn of them.",
    ),
    click.option(
        "--exif",
        type=click.Choice(get_args(Exif)),
        default="apply",
        help="Turn annotated images upright as their EXIF orientation says, or keep them as they are stored, for "
        "annotations made without it.",
    ),
)
"""Both options, for groups that annotations belong to."""


def reading_options(option: str) -> Decorator:
    """Both as `rules`, of a command whose `option` names the annotations."""

    @option_group("rules", *READING)
    def group(strict: bool, exif: Exif) -> ReadingRules:
        given, context = given_options("strict", "exif"), click.get_current_context()
        (owner,) = (parameter.name for parameter in context.command.params if option in parameter.opts)
        if given and context.params[str(owner)] is None:
            raise UsageError(f"{given[0]} is for {option}")
        return ReadingRules(strict, exif)

    return group
