"""How annotations and their images are read, and how their categories are paired with a model's classes."""

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
        help="Turn annotated images upright by their EXIF orientation (apply), or leave them as stored (keep), for "
        "annotations made on images that were not turned.",
    ),
    click.option(
        "--by-name/--by-id",
        default=None,
        help="Pair each class of the model with the category of the same name, or of the same id.  [default: by name "
        "if both have the same names, else by id]",
    ),
)
"""These options, for groups that annotations belong to."""


def reading_options(option: str, measured: str | None = None) -> Decorator:
    """Give a command these options, as `rules`. Its `option` names the annotations; `measured` names those that a model
    is measured on, where these are others."""

    @option_group("rules", *READING)
    def group(strict: bool, exif: Exif, by_name: bool | None) -> ReadingRules:
        for owner, names in ((option, ("strict", "exif")), (measured or option, ("by_name",))):
            given = given_options(*names)
            if given and not given_options(_parameter_name(owner)):
                raise UsageError(f"{given[0]} is for {owner}")
        return ReadingRules(strict, exif, by_name)

    return group


def _parameter_name(option: str) -> str:
    """What click calls an option of the running command."""
    params = click.get_current_context().command.params
    return next(str(parameter.name) for parameter in params if option in parameter.opts)
