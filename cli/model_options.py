"""What commands share that take either an engine file or a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from yolact.runtime.errors import UsageError

_Command = TypeVar("_Command", bound=Callable[..., Any])


def model_options(command: _Command) -> _Command:
    """Give a click command the options --engine, --weights and --config; see `check_model_options`."""
    engine = click.option(
        "--engine",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Model file written by yolact-export.",
    )
    weights = click.option(
        "--weights", type=click.Path(path_type=Path), help="Checkpoint (.pth) instead, run by PyTorch."
    )
    config = click.option(
        "--config", "config_name", help="Its configuration; by default from the file name or the tensors."
    )
    return engine(weights(config(command)))


def check_model_options(engine: Path | None, weights: Path | None, config_name: str | None) -> None:
    """Raise UsageError unless exactly one of engine and weights is given, and a configuration only with weights."""
    if (engine is None) == (weights is None):
        got = "neither" if engine is None else "both"
        raise UsageError(f"expected either --engine or --weights, got {got}")
    if engine is not None and config_name is not None:
        raise UsageError("--config belongs to --weights; an engine file knows its configuration")
