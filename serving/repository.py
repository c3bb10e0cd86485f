"""Writes a model into a Triton repository, so that a server that watches the repository never loads half a model."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from yolact.runtime.class_names import visible
from yolact.runtime.errors import UsageError, YolactError
from yolact.runtime.file_digest import sha256_of
from yolact.runtime.file_lock import FileInUse, FileLock, LockUnavailable
from yolact.runtime.output_files import check_output_folder, write_output
from yolact.runtime.wording import printable
from yolact.serving.engine_facts import EngineFacts
from yolact.serving.model_config import LABELS, engine_config, front_config, to_text
from yolact.serving.readme import README, readme
from yolact.serving.settings import Settings

CONFIG = "config.pbtxt"

_CODE = "yolact.serving.python_backend"

MODEL_PY = f'''"""Written by yolact-triton; its code is in the package yolact, in serving/python_backend.py."""

try:
    from {_CODE} import TritonPythonModel  # noqa: F401
except ImportError as error:
    message = "this model needs the package yolact in the Python of Triton's python backend"
    raise ImportError(f"{{message}} ({{error}}); install it there: docs/how-to/triton.md says how") from error
'''
"""The only code in a repository."""

_PARTIAL = ".partial-"


class ModelFolder(NamedTuple):
    """The files of one model of the repository.

    Attributes:
        name: of the model and its folder.
        files: contents by path in the folder; `config.pbtxt` is among them.
        version: the files in the folder of its version, by name: contents, or a file to copy.
    """

    name: str
    files: Mapping[str, bytes]
    version: Mapping[str, bytes | Path]


def model_folders(engine: EngineFacts, settings: Settings) -> list[ModelFolder]:
    """The models that serve an engine, each after those it calls. Raises UsageError for settings that do not fit it."""
    settings.check(engine)
    labels = "".join(f"{printable(visible(name))}\n" for name in engine.metadata.config.class_names)
    files = {  # the configuration first: it tells whose folder this is
        CONFIG: to_text(front_config(engine, settings)),
        LABELS: labels.encode(),
        README: readme(engine, settings).encode(),
    }
    code: dict[str, bytes | Path] = {"model.py": MODEL_PY.encode()}
    if not settings.engine_model:
        return [ModelFolder(settings.name, files, code | engine.files)]
    inner = ModelFolder(settings.engine_model, {CONFIG: to_text(engine_config(engine, settings))}, dict(engine.files))
    return [inner, ModelFolder(settings.name, files, code)]


def write_repository(repository: Path, engine: EngineFacts, settings: Settings) -> list[Path]:
    """Write the models of an engine into a repository.

    A model's newest version stays where it holds the same files; otherwise they become the next version. The version
    before the newest stays too, since a running server may have to start its processes again; older ones are removed.

    Returns the folders in which something was written; empty where everything was there already.

    Raises:
        UsageError: the repository or a model's folder holds something else, or the settings do not fit the engine.
        YolactError: the repository cannot be written to, or another process is writing there.
    """
    folders = model_folders(engine, settings)
    for one in folders:
        check_model_folder(repository, one.name)
    check_output_folder("--repository", repository)
    return [repository / one.name for one in folders if _write(repository / one.name, one)]


def check_model_folder(repository: Path, name: str) -> None:
    """Raise UsageError where writing a model would mix it with something else."""
    strangers = _strangers(repository)
    if strangers:
        raise UsageError(
            f"--repository {repository} holds something else, such as {strangers[0]}, which Triton would take for a "
            "model; choose another folder"
        )
    folder = repository / name
    if not folder.exists() or (folder.is_dir() and _is_left(folder)):
        return
    config = folder / CONFIG
    if not config.is_file() or b"serving.engine_sha256" not in config.read_bytes():
        raise UsageError(
            f"{folder} exists and was not written by yolact-triton; choose another --name or another --repository"
        )


def versions(folder: Path) -> list[Path]:
    """The folders of a model's versions, oldest first."""
    found = [path for path in folder.iterdir() if path.name.isascii() and path.name.isdigit() and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name))


def differences(folder: Path, model: ModelFolder) -> list[str]:
    """Names of the files in the newest version that are missing or differ; all files where there is no version."""
    existing = versions(folder) if folder.is_dir() else []
    if not existing:
        return list(model.version)
    return [name for name, content in model.version.items() if not _holds(existing[-1] / name, content)]


def _strangers(repository: Path) -> list[Path]:
    if not repository.is_dir():
        return []
    folders = sorted(path for path in repository.iterdir() if path.is_dir())
    return [path for path in folders if not (path / CONFIG).is_file() and not _is_left(path)]


def _is_left(folder: Path) -> bool:
    """Whether a folder holds only the remains of a run that was killed before it wrote a configuration."""
    return all(path.name == ".lock" or path.name.startswith(_PARTIAL) for path in folder.iterdir())


def _holds(path: Path, content: bytes | Path) -> bool:
    if not path.is_file():
        return False
    if isinstance(content, bytes):
        return path.read_bytes() == content
    return path.stat().st_size == content.stat().st_size and sha256_of(path) == sha256_of(content)


def _write(folder: Path, model: ModelFolder) -> bool:
    """Write one model. Returns whether anything had to be written."""
    if all(_holds(folder / name, content) for name, content in model.files.items()) and not differences(folder, model):
        return False  # and the folder keeps its time, by which a server would see that something has changed
    try:
        folder.mkdir(exist_ok=True)
        with _locked(folder):
            for name, content in model.files.items():
                if not _holds(folder / name, content):
                    write_output(folder / name, content)
            # The configuration comes before the version that it is for: a server that looks in between finds a version
            # of another engine, or none, and refuses it.
            if differences(folder, model):
                _add_version(folder, model)
            return True
    except OSError as error:
        reason = error.strerror or error
        raise YolactError(f"cannot write {folder}: {reason}; free space or choose another --repository") from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of a model's folder. Raises YolactError where another one writes there."""
    path = folder / ".lock"
    lock = None
    try:
        lock = FileLock(path, os.O_CREAT)
    except FileInUse:
        raise YolactError(f"another process is writing {folder}; wait for it") from None
    except LockUnavailable:  # on Windows, and on some file systems
        pass
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        if lock is not None:
            lock.release()


def _add_version(folder: Path, model: ModelFolder) -> None:
    """Add the next version, which gets its number once it is whole, and remove all older ones but the last."""
    for left in folder.glob(f"{_PARTIAL}*"):
        shutil.rmtree(left, ignore_errors=True)
    existing = versions(folder)
    partial = folder / f"{_PARTIAL}{secrets.token_hex(8)}"
    partial.mkdir()
    try:
        for name, content in model.version.items():
            if isinstance(content, bytes):
                (partial / name).write_bytes(content)
            else:
                shutil.copyfile(content, partial / name)
        partial.rename(folder / str(int(existing[-1].name) + 1 if existing else 1))
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    for old in existing[:-1]:
        shutil.rmtree(old, ignore_errors=True)
