"""Files to write: whether they can be written, names for them, and writing them so that they are whole or not there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from yolact.runtime.errors import UsageError, YolactError
from yolact.runtime.overwriting import file_key, find_overwritten, real_path
from yolact.runtime.partial_file import PartialFile, remove_leftovers


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to. It becomes `path` if the block succeeds and is removed if not.

    Raises OSError where it cannot be created or renamed, UsageError where `path` is something else than a file.
    """
    check_replaceable(path)
    with PartialFile(path) as partial:
        yield partial.path
        partial.commit()


def check_replaceable(path: Path) -> None:
    """Raise UsageError where renaming a file to `path` would destroy a device, a pipe or a folder."""
    if path.exists() and not real_path(path).is_file():
        raise UsageError(f"cannot write {path}: it exists and is no regular file; choose another name")


def check_output(option: str, path: Path, inputs: Iterable[Path | None], suffixes: Sequence[str] = ()) -> None:
    """Refuse an output file that cannot be written, before the model runs rather than after.

    Args:
        option: that named the file, such as ``--json``, for the message.
        path: the file to be written.
        inputs: all that the command reads, see `find_overwritten`.
        suffixes: one of which the name has to end in, in small or capital letters; none for any name.

    Raises:
        UsageError: `path` is refused: it is stdout, another kind of file, an input, no regular file, or in a missing
            folder.
        YolactError: the folder cannot be written to.
    """
    if suffixes and path.suffix.lower() not in suffixes:
        *others, last = suffixes
        raise UsageError(f"{option} {path}: expected a name that ends in {', '.join(others)} or {last}")
    if str(path) == "-":
        raise UsageError(f"{option}: expected the name of a file, got -; stdout is for what the command reports")
    check_replaceable(path)
    refuse_overwriting(option, path, inputs)
    if not path.parent.is_dir():
        raise UsageError(f"{option} {path}: there is no folder {path.parent}; create it first")
    try:
        _prepare(path.parent)
    except OSError as error:
        raise YolactError(f"cannot write {path}: {error.strerror}; choose another {option}") from error


def refuse_overwriting(option: str, path: Path, inputs: Iterable[Path | None]) -> None:
    """Raise UsageError where writing `path`, which `option` named, would replace an input: see `find_overwritten`."""
    overwritten = find_overwritten(path, inputs)
    if overwritten is not None:
        which = "" if overwritten == path else f", {overwritten}"
        raise UsageError(f"{option} {path} is one of the inputs{which}; choose another file")


def check_output_folder(option: str, folder: Path) -> None:
    """Create the folder that `option` named, and its parents. Raises YolactError where it cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _prepare(folder)
    except OSError as error:
        raise YolactError(f"cannot write to {folder}: {error.strerror}; choose another {option}") from error


def _prepare(folder: Path) -> None:
    """Try to write in a folder, and clear away what killed runs left in it. Raises OSError."""
    remove_leftovers(folder)
    PartialFile(folder / "probe").close()


def write_output(path: Path, data: bytes) -> None:
    """Write a whole file. Raises YolactError where that fails; an earlier file then stays."""
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


class OutputNames:
    """Gives every input a file of its own in one folder.

    The input's stem is kept. It is numbered (``x-2.jpg``) where another input of this run has that name already or
    where the name is an input's itself; in a folder that inputs come from, no existing file is replaced at all.
    Elsewhere the files of an earlier run are.
    """

    def __init__(self, folder: Path, inputs: Iterable[Path], others: Iterable[Path] = ()) -> None:
        """`inputs`: all files this run reads; `others`: those that it writes besides."""
        self._folder = folder
        resolved = [real_path(path) for path in inputs]
        self._taken = {file_key(path) for path in (*resolved, *(real_path(path) for path in others))}
        self._is_shared = real_path(folder) in {path.parent for path in resolved}

    def reserve(self, stem: str, suffix: str) -> Path:
        """A file in the folder, never given twice."""
        number = 1
        while True:
            path = self._folder / (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")
            key = file_key(real_path(path))
            if key not in self._taken and not (self._is_shared and path.exists()):
                self._taken.add(key)
                return path
            number += 1
