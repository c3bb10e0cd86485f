"""Either an engine file or a checkpoint: --engine, or --weights and --config."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import click

from yolact.cli.options.common import config_option, engine_option
from yolact.cli.options.groups import option_group
from yolact.cli.options.named import WEIGHTS
from yolact.runtime.errors import UsageError


class ModelChoice(NamedTuple):
    """An engine file, or a checkpoint that PyTorch runs.

    Attributes:
        path: of the file.
        is_checkpoint: whether it is a checkpoint.
        config_name: configuration of a checkpoint, None to go by the file.
        detections: path or URI of stored detections, which are measured instead of running a model.
    """

    path: Path
    is_checkpoint: bool
    config_name: str | None
    detections: str | None = None


_OPTIONS = (
    engine_option("Model file written by yolact-export.", required=False, onnx=True),
    click.option(
        "--weights",
        metavar="FILE|NAME",
        type=WEIGHTS,
        help="Instead of --engine: a checkpoint, or owner/name on Hugging Face, run by PyTorch.",
    ),
    config_option(),
)


def _choose(engine: Path | None, weights: Path | None, config_name: str | None) -> ModelChoice:
    """Exactly one of engine and checkpoint, and a configuration only with the latter."""
    if engine is not None and weights is None:
        if config_name is not None:
            raise UsageError("--config belongs to --weights; an engine file knows its configuration")
        return ModelChoice(engine, False, None)
    if weights is not None and engine is None:
        return ModelChoice(weights, True, config_name)
    raise UsageError(f"expected either --engine or --weights, got {'neither' if engine is None else 'both'}")


model_options = option_group("model", *_OPTIONS)(_choose)


@option_group(
    "model",
    *_OPTIONS,
    click.option(
        "--detections", metavar="DIR|URI", help="Instead of a model: score the results of yolact-batch there."
    ),
)
def measured_options(
    engine: Path | None, weights: Path | None, config_name: str | None, detections: str | None
) -> ModelChoice:
    """Exactly one of engine, checkpoint and detections."""
    if detections is None:
        return _choose(engine, weights, config_name)
    if (engine, weights, config_name) != (None, None, None):
        raise UsageError("--detections takes the place of the model; leave out --engine, --weights and --config")
    return ModelChoice(Path(detections), False, None, detections)
