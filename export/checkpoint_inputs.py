"""The files that an export starts from: checkpoint, class names, photos."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from yolact.runtime.errors import UsageError

if TYPE_CHECKING:
    from yolact.runtime.images.arrays import Image
    from yolact.training.models.model import Yolact


def load_model(weights: Path, config_name: str | None, class_names: Path | None, imgsz: int | None) -> Yolact:
    """The network in a checkpoint, with the class names and the image size that it is to be exported with.

    Raises CheckpointError or UsageError where checkpoint, configuration and class names do not fit each other.
    """
    from yolact.training.models.checkpoints import load_checkpoint

    names = None if class_names is None else _read_class_names(class_names)
    model = load_checkpoint(weights, config_name, names)
    if imgsz is not None:
        model.config = replace(model.config, image_size=imgsz)
    return model


def _read_class_names(path: Path) -> list[str]:
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise UsageError(f"--class-names {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--class-names {path} is no UTF-8 text; write one class name a line") from None
    while names and not names[-1]:
        names.pop()
    if not names or not all(names):
        raise UsageError(f"--class-names {path} has {'an empty line' if names else 'no names'}; write one a line")
    return names


def read_check_images(paths: Sequence[Path]) -> list[Image]:
    """The photos to check an export on, or a made-up scene where there are none. Raises ImageError."""
    from yolact.runtime.images.check_image import make_check_image
    from yolact.runtime.images.image_files import read_image

    return [read_image(path) for path in paths] or [make_check_image()]


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's contents."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
