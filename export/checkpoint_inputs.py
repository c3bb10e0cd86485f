"""The files that an export starts from: checkpoint, class names, photos."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from yolact.runtime.class_names import bare, visible
from yolact.runtime.config import MAX_CLASS_NAME
from yolact.runtime.errors import UsageError
from yolact.runtime.input_files import read_file

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
        data = read_file(path)
    except OSError as error:
        raise UsageError(f"--class-names {path} cannot be read: {error.strerror}") from None
    try:
        text = data.decode("utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"--class-names {path} is no UTF-8 text; write one class name a line") from None
    names = [bare(line) for line in re.split("\r\n|\r|\n", text)]
    while names and not names[-1]:
        names.pop()
    if not names or not all(names):
        raise UsageError(f"--class-names {path} has {'an empty line' if names else 'no names'}; write one a line")
    lines: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        if (first := lines.setdefault(visible(name), number)) != number:
            raise UsageError(f"--class-names {path} has {name} in line {first} and line {number}; names must differ")
        if len(name) > MAX_CLASS_NAME:
            raise UsageError(
                f"--class-names {path} has {len(name)} characters in line {number}, expected at most {MAX_CLASS_NAME}"
            )
        if any(unicodedata.category(character) == "Cc" for character in name):
            raise UsageError(f"--class-names {path} has a control character in line {number}; write the name without")
    return names


def read_check_images(paths: Sequence[Path]) -> list[Image]:
    """The photos to check an export on, or a made-up scene where there are none. Raises ImageError."""
    from yolact.runtime.images.check_image import make_check_image
    from yolact.runtime.images.image_files import read_image

    return [read_image(path) for path in paths] or [make_check_image()]
