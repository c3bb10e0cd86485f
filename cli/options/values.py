"""Types and checks of the values of options."""

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
    """The name of a file. A separator at its end means a folder, and `Path` would drop that."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert as click does. Fails where the name means a folder."""
        name = os.fsdecode(value).replace(os.altsep or os.sep, os.sep)
        if name.rpartition(os.sep)[2] in ("", ".", ".."):
            self.fail(f"expected the name of a file, got {name!r}{', which is a folder' if name else ''}.", param, ctx)
        return super().convert(value, param, ctx)


OUTPUT_FILE = _OutputFile(dir_okay=False, path_type=Path)


def check_fraction(context: click.Context, parameter: click.Parameter, value: float) -> float:
    """Callback of options whose values are 0 to 1."""
    if not 0 <= value <= 1:  # unlike click.FloatRange this refuses nan
        raise click.BadParameter(f"expected a number from 0 to 1, got {value}")
    return value


def check_amount(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """Callback of options whose values are 0 or more."""
    if value is not None and not 0 <= value < math.inf:  # unlike click.FloatRange this refuses nan
        raise click.BadParameter(f"expected a number of 0 or more, got {value}")
    return value


def parse_words(value: str) -> tuple[str, ...]:
    """The distinct words of a comma-separated list, in order."""
    return tuple(dict.fromkeys(part.strip() for part in value.split(",")))
