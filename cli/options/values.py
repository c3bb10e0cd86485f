"""What the value of an option may be."""

from __future__ import annotations

import math
from pathlib import Path

import click

FILE = click.Path(path_type=Path)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EXISTING_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
OUTPUT_FILE = click.Path(dir_okay=False, path_type=Path)
OUTPUT_FOLDER = click.Path(file_okay=False, path_type=Path)
AT_LEAST_1 = click.IntRange(min=1)


def check_fraction(context: click.Context, parameter: click.Parameter, value: float) -> float:
    """Callback of options from 0 to 1."""
    if not 0 <= value <= 1:  # unlike click.FloatRange this refuses nan
        raise click.BadParameter(f"expected a number from 0 to 1, got {value}")
    return value


def check_amount(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """Callback of options from 0."""
    if value is not None and not 0 <= value < math.inf:  # unlike click.FloatRange this refuses nan
        raise click.BadParameter(f"expected a number from 0, got {value}")
    return value


def parse_words(value: str) -> tuple[str, ...]:
    """The different words of a list with commas, in order."""
    return tuple(dict.fromkeys(part.strip() for part in value.split(",")))
