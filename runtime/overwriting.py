"""Whether writing an output would replace something the same command reads: the one rule of all commands."""

from __future__ import annotations

import os
from collections.abc import Iterable
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
        if given is None:
            continue
        if given.is_dir():
            found = _find_image(given, output)
        else:
            found = next((path for path in (given, *_read_with(given)) if _is_same(path, output)), None)
        if found is not None:
            return found
    return None


def real_path(path: Path) -> Path:
    """The target of links. Unlike `Path.resolve` it takes links that lead in a circle, and leaves them as they are."""
    return Path(os.path.realpath(path))


def file_key(path: Path) -> str:
    """The form that all resolved paths of one file share: some file systems take ``A.jpg`` and ``a.jpg`` for one."""
    return str(path).casefold()


def _is_same(path: Path, output: Path) -> bool:
    there, status = _status(output), _status(path)
    if there is not None and status is not None and os.path.samestat(there, status):
        return True
    return file_key(real_path(path)) == file_key(real_path(output))


def _status(path: str | Path) -> os.stat_result | None:
    try:
        return Path(path).stat()
    except OSError:  # it is not there
        return None


def _read_with(path: Path) -> list[Path]:
    if path.suffix.lower() == _CHECKPOINT_SUFFIX:
        return [path.with_suffix(".json")]
    if path.suffix.lower() in _PLAN_SUFFIXES:
        return [path.with_name(f"{path.name}{suffix}") for suffix in (".json", ".json.next")]
    return []


def _find_image(folder: Path, output: Path) -> Path | None:
    """The image in a folder, or below it, that `output` is: by its name where that is the folder of `output`, by its
    status everywhere, as links have any name."""
    there = _status(output)
    keys = {file_key(path) for path in (real_path(output), real_path(output.parent) / output.name)}
    places = {real_path(output).parent, real_path(output.parent)}
    for place, _, names in os.walk(folder):
        images = [name for name in names if Path(name).suffix.lower() in IMAGE_SUFFIXES]
        resolved = real_path(Path(place))
        for name in images:
            if resolved in places and file_key(resolved / name) in keys:
                return Path(place, name)
            if there is not None:
                status = _status(f"{place}/{name}")
                if status is not None and os.path.samestat(there, status):
                    return Path(place, name)
    return None
