"""What the value of an option may be."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import click

FILE = click.Path(path_type=Path)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EXISTING_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
OUTPUT_FOLDER = click.Path(file_okay=False, path_type=Path)
AT_LEAST_1 = click.IntRange(min=1)


class _OutputFile(click.Path):
    """A name whose last part names a file. Paths lose a separator at their end, which says that a folder is meant."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click does. Fails where a folder is meant."""
        name = os.fsdecode(value).replace(os.altsep or os.sep, os.sep)
        if name.rpartition(os.sep)[2] in ("", ".", ".."):
            self.fail(f"expected the name of a file, got {name!r}{', which is a folder' if name else ''}.", param, ctx)
        return super().convert(value, param, ctx)


OUTPUT_FILE = _OutputFile(dir_okay=False, path_type=Path)


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
