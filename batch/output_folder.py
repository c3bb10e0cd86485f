"""The folder of a job: checks that it may be written to, finds the parts that are done, and keeps other jobs out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from yolact.batch.manifest import FILE as MANIFEST
from yolact.batch.manifest import Identity, Manifest, read_manifest, refuse_other
from yolact.batch.part_files import FOLDER, PartDamaged, PartSummary, part_name, read_summary
from yolact.batch.places import Place
from yolact.batch.plan import Plan
from yolact.runtime.errors import UsageError, YolactError
from yolact.runtime.file_lock import FileInUse, FileLock, LockUnavailable
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.wording import Say, list_some

_LOCK = ".lock"


@contextmanager
def job_folder(folder: Place, identity: Identity, metadata: ModelMetadata) -> Iterator[None]:
    """Begin a folder of results, or resume one, and keep other jobs out of it until the block ends.

    Raises:
        UsageError: the folder holds something else, or the results of another engine or other options.
        YolactError: the folder cannot be written to, or another job writes to it.
    """
    if folder.kind() == "file":
        raise UsageError(f"--output {folder.name} is a file; expected the name of a folder")
    begun = (folder / MANIFEST).kind() == "file"
    if begun:
        refuse_other(folder, read_manifest(folder)[0], identity)
    else:
        _refuse_strangers(folder)
    (folder / FOLDER).make_folder()
    with _alone(folder):
        if not begun:
            Manifest(identity, metadata).write(folder)
        yield


def find_done(folder: Place, plan: Plan, engine_sha256: str, note: Say) -> dict[int, PartSummary]:
    """Summaries of the parts that are done; files that are damaged or of other images are reported and left out.

    Raises UsageError where there are other files, which readers of the folder would take for results.
    """
    there = {entry.path.rpartition("/")[2] for entry in (folder / FOLDER).entries()}
    others = sorted(name for name in there - set(map(part_name, range(len(plan)))) if not name.startswith("."))
    if others:
        raise UsageError(
            f"{(folder / FOLDER).name} holds {list_some(others, 3)}, which this job did not write; move it away"
        )
    done = {}
    for part in plan:
        name = part_name(part.number)
        if name not in there:
            continue
        try:
            summary = read_summary(folder / FOLDER / name)
        except PartDamaged as damage:
            note(f"warning: {FOLDER}/{name} {damage}; its {part.images} images are done again")
            continue
        if summary.engine_sha256 != engine_sha256 or summary.fingerprint != part.fingerprint:
            note(f"warning: images of {FOLDER}/{name} have changed since; its {part.images} images are done again")
            continue
        done[part.number] = summary
    return done


def _refuse_strangers(folder: Place) -> None:
    """Raise UsageError where a folder that no job has begun holds anything but hidden files."""
    names = [entry.path[len(folder.path) :].lstrip("/") for entry in folder.entries(deep=True)]
    visible = [name for name in names if not name.startswith(".")]
    if visible:
        raise UsageError(
            f"--output {folder.name} holds {list_some(visible, 3)} and no {MANIFEST}, so yolact-batch did not write "
            "it; give a new folder"
        )


@contextmanager
def _alone(folder: Place) -> Iterator[None]:
    """Hold the folder's lock; where there are no locks, as in object stores, other jobs are not kept out."""
    if not folder.is_local:
        yield
        return
    path = Path(folder.path, _LOCK)
    try:
        lock = FileLock(path, os.O_CREAT)
    except FileInUse:
        raise YolactError(f"another yolact-batch writes to {folder.name}; wait, or give another --output") from None
    except LockUnavailable:
        yield
        return
    except OSError as error:
        raise YolactError(f"cannot write to {folder.name}: {error.strerror}; choose another --output") from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()
