"""Whether writing an output would replace something the same command reads: the one rule of all commands."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from yolact.runtime.images.suffixes import IMAGE_SUFFIXES

_CHECKPOINT_SUFFIX, _PLAN_SUFFIXES = ".pth", (".plan", ".engine", ".trt")


def find_overwritten(output: Path, inputs: Iterable[Path | None]) -> Path | None:
    """The input that `output` is, None where it is none.

    Two names are one file where they are equal but for upper and lower case, which some file systems do not tell
    apart, and where links make them so.

    Args:
        output: the file to be written, which may be there.
        inputs: files, which stand for themselves and the ``.json`` that is read with a checkpoint or a plan; folders,
            which stand for all images in them and below. None are passed over.
    """
    for given in inputs:
        if given is not None:
            for path in _images_in(given, output) if given.is_dir() else (given, *_read_with(given)):
                if file_key(path.resolve()) == file_key(output.resolve()) or _is_same_file(path, output):
                    return path
    return None


def file_key(path: Path) -> str:
    """What two resolved paths of one file have in common: some file systems take ``A.jpg`` and ``a.jpg`` for one."""
    return str(path).casefold()


def _is_same_file(path: Path, output: Path) -> bool:
    try:
        return path.samefile(output)
    except OSError:  # one of them is not there
        return False


def _read_with(path: Path) -> list[Path]:
    if path.suffix.lower() == _CHECKPOINT_SUFFIX:
        return [path.with_suffix(".json")]
    if path.suffix.lower() in _PLAN_SUFFIXES:
        return [path.with_name(f"{path.name}{suffix}") for suffix in (".json", ".json.next")]
    return []


def _images_in(folder: Path, output: Path) -> Iterator[Path]:
    """The images in a folder that could be `output`: all where that is there, as links have any name."""
    beside = {output.parent.resolve(), output.resolve().parent}
    for place, _, names in os.walk(folder):
        if output.exists() or Path(place).resolve() in beside:
            yield from (Path(place, name) for name in names if Path(name).suffix.lower() in IMAGE_SUFFIXES)
