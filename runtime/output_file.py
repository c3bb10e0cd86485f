"""Output files of commands: refused before the work begins, written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

from yolact.runtime.atomic import check_folder, check_replaceable, replacing
from yolact.runtime.errors import UsageError, YolactError


def check_output(option: str, path: Path, inputs: Iterable[Path | None]) -> None:
    """Fail before the model runs rather than after.

    Args:
        option: that named the file, such as ``--json``, for the message.
        path: the file to be written.
        inputs: files that must not be overwritten; None are passed over.

    Raises:
        UsageError: `path` cannot be meant: stdout, an input, no regular file, in a folder that is not there.
        YolactError: the folder cannot be written to.
    """
    if str(path) == "-":
        raise UsageError(f"{option}: expected the name of a file, got -; stdout is for the summary")
    check_replaceable(path)
    if path.resolve() in {other.resolve() for other in inputs if other is not None}:
        raise UsageError(f"{option} {path} is one of the inputs; choose another file")
    if not path.parent.is_dir():
        raise UsageError(f"{option} {path}: there is no folder {path.parent}; create it first")
    try:
        check_folder(path.parent)
    except OSError as error:
        raise YolactError(f"cannot write {path}: {error.strerror}") from error


def write_output(path: Path, data: bytes) -> None:
    """Write a whole file. Raises YolactError where that fails; what was there before then stays."""
    write_outputs({path: data})


def write_outputs(files: Mapping[Path, bytes]) -> None:
    """Write some files, of which none takes its name before all are written. Raises as `write_output`."""
    path = Path()
    try:
        with ExitStack() as stack:
            for path, data in files.items():
                stack.enter_context(replacing(path)).write_bytes(data)
    except OSError as error:
        reason = error.strerror or error
        raise YolactError(f"cannot write {path}: {reason}; free space or choose another place") from None
