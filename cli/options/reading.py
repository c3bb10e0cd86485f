"""How annotations and their images are read, and which of their categories a model's classes are."""

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
    click.option(
        "--by-name/--by-id",
        default=None,
        help="Measure each class of the model by the category of the same name, or of the same id.  [default: by name "
        "where both have the same names, else by id]",
    ),
)
"""These options, for groups that annotations belong to."""


def reading_options(option: str, measured: str | None = None) -> Decorator:
    """They as `rules`, of a command whose `option` names the annotations, and `measured` those that a model is
    measured on, where these are others."""

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
