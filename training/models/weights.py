"""The network in a checkpoint that a user named, where PyTorch may be missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from yolact.runtime.errors import YolactError

if TYPE_CHECKING:
    from yolact.training.models.model import Yolact


def check_torch() -> None:
    """Raise YolactError where PyTorch is missing."""
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError:
        raise YolactError("--weights needs torch; install it with: pip install 'yolact[export]'") from None


def load_weights(weights: Path, config_name: str | None) -> Yolact:
    """The network in a checkpoint. Raises YolactError where PyTorch is missing or the file does not fit."""
    check_torch()
    from yolact.training.models.checkpoints import load_checkpoint
    from yolact.training.models.configs import get_config

    return load_checkpoint(weights, None if config_name is None else get_config(config_name))
