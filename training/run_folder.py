"""The files of one training run: checkpoints under the official names and keys, and all that resuming needs."""

from __future__ import annotations

import io
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from yolact.runtime.config import ModelConfig
from yolact.runtime.errors import CheckpointError, UsageError, YolactError
from yolact.runtime.fields import exactly, whole
from yolact.runtime.file_lock import FileInUse, FileLock, LockUnavailable
from yolact.runtime.json_text import from_json, to_json
from yolact.runtime.output_files import check_output_folder, replacing
from yolact.runtime.overwriting import file_key, real_path
from yolact.training.data.loading import Batch
from yolact.training.models.checkpoint_file import read_checkpoint_file
from yolact.training.models.model import Yolact
from yolact.training.run_record import BEST_FILE, RECORD_FILE, STATE_FILE
from yolact.training.settings import TrainSettings, schedule
from yolact.training.story.curves import CURVES_FILE
from yolact.training.story.samples import SAMPLE_FOLDERS

STATE_VERSION = 1
STATE_PARTS = ("version", "config", "settings", "data", "iteration", "model", "optimizer", "scaler")
LOCK_FILE = ".lock"
PAGE_FILE = "README.md"

_STEPS = "learning_rate_steps"
_CLASSES = ("class_names", "category_ids")

_LATER = {"frozen_stages": 0}
"""Settings that states of earlier versions do not have, as they trained."""

PATIENCE = 5.0
"""Seconds to wait for the lock: processes of a run that was just ended may still be closing."""


class RunFolder:
    """The folder of a run. Writes are atomic: a crash, a full disk or kill -9 leaves the last complete files there."""

    def __init__(self, path: Path) -> None:
        """Create the folder. Raises YolactError where nothing can be written in it."""
        self.path = path
        check_output_folder("--output", path)

    @property
    def state_file(self) -> Path:
        """The file with all that resuming needs."""
        return self.path / STATE_FILE

    @property
    def best_file(self) -> Path:
        """The weights with the highest mask AP of all validations."""
        return self.path / BEST_FILE

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Keep other runs out of the folder while the context lasts. Yields False where another run is in it.

        Where there are no locks (see `FileLock`) nobody is kept out.
        """
        try:
            lock = self._lock()
        except FileInUse:
            yield False
            return
        except LockUnavailable:
            yield True
            return
        try:
            yield True
        finally:
            lock.path.unlink(missing_ok=True)
            lock.release()

    def _lock(self) -> FileLock:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return FileLock(self.path / LOCK_FILE, os.O_CREAT)
            except FileInUse:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def check_unused(self) -> None:
        """Raise UsageError where another run has left its state or its best weights, which this one would overwrite."""
        if self.state_file.exists():
            raise UsageError(f"{self.path} holds a run already; continue it with --resume or choose another --output")
        if self.best_file.exists():
            raise UsageError(f"{self.best_file} is there already, of a run without state; choose another --output")

    def check_inputs(self, name: str, inputs: Iterable[Path], folders: Iterable[Path] = ()) -> None:
        """Raise UsageError where a file that the run reads could be replaced by one that it writes.

        Args:
            name: of the configuration.
            inputs: the files.
            folders: of images.
        """
        own = re.compile(
            rf"{re.escape(name)}_\d+_\d+(_interrupt)?\.(pth|json)|best\.(pth|json)|broken_batch_.*|metrics(_\d+)?\.csv|"
            rf"{'|'.join(map(re.escape, (STATE_FILE, LOCK_FILE, RECORD_FILE, CURVES_FILE, PAGE_FILE)))}",
            re.IGNORECASE,
        )
        folder = file_key(real_path(self.path))
        pictures = [file_key(real_path(self.path / name)) for name in SAMPLE_FOLDERS]
        for path in inputs:
            resolved = real_path(path)
            if file_key(resolved.parent) == folder and own.fullmatch(resolved.name):
                raise UsageError(f"--output {self.path} would replace {path}, which is an input; choose another folder")
        for path in folders:
            if file_key(real_path(path)) in pictures:
                raise UsageError(
                    f"--output {self.path} would write pictures into {path}, which is an input; choose another folder"
                )

    def save_weights(self, model: Yolact, epoch: int, iteration: str) -> Path:
        """Write ``<configuration>_<epoch>_<iteration>.pth``, which the official code reads as well, and beside it a
        ``.json`` with what tensors cannot tell: class names, category ids, image and anchor sizes.

        Raises YolactError where the disk is full.
        """
        path = self.path / f"{model.config.name}_{epoch}_{iteration}.pth"
        self._save_model(path, model)
        return path

    def save_best(self, model: Yolact) -> None:
        """Write `best_file` likewise. Raises YolactError where the disk is full."""
        self._save_model(self.best_file, model)

    def _save_model(self, path: Path, model: Yolact) -> None:
        self.write(path.with_suffix(".json"), to_json(model.config.to_json(), indent=1).encode())
        try:
            self.write(path, as_bytes(model.state_dict()))
        except YolactError:
            if not path.exists():  # else it describes what an earlier run has left
                path.with_suffix(".json").unlink(missing_ok=True)
            raise

    def save_state(self, state: dict[str, Any], config: ModelConfig, settings: TrainSettings, data: str) -> None:
        """Write everything that `load_state` gives back. Raises YolactError where the disk is full."""
        origin = {"version": STATE_VERSION, "config": config.to_json(), "settings": asdict(settings), "data": data}
        self.write(self.state_file, as_bytes({**state, **origin}))

    def load_state(
        self, config: ModelConfig, settings: TrainSettings, data: str, directory: Path | None = None
    ) -> dict[str, Any]:
        """The state of `save_state`. Whether the classes are the same is left to the caller: see `check_classes`.

        More iterations than the run had may be asked for. Where the run's steps of the learning rate were those of the
        official schedule in proportion to its length, those of the new length may be asked for with it.

        Args:
            config, settings, data: those asked for now, as `save_state` takes them.
            directory: where the run was started, if it is known; relative paths of its data begin there.

        Raises:
            CheckpointError: there is no state, or it is damaged.
            UsageError: the run had another configuration, other settings or other data: its numbers could not be
                continued.
        """
        if not self.state_file.is_file():
            raise CheckpointError(f"there is no {self.state_file} to resume from; start without --resume")
        try:
            state = read_checkpoint_file(self.state_file)
            stored = {**_LATER, **_origin(state)}
            if state["iteration"] > whole("iterations", stored.get("iterations"), 1, 2**53):
                raise ValueError(f"it is at iteration {state['iteration']} of {stored['iterations']}")
        except (CheckpointError, ValueError) as error:
            raise CheckpointError(
                f"{self.state_file} is damaged ({error}); start anew from a checkpoint with --weights"
            ) from None
        # Through JSON and back, since it makes lists of tuples.
        asked = from_json(to_json({**asdict(settings), "config": config.to_json(), "data": data}))
        asked["config"] |= {name: stored["config"][name] for name in _CLASSES}
        if settings.iterations > stored["iterations"]:
            before = schedule(config, settings.batch_size, stored["iterations"])[1]
            after = schedule(config, settings.batch_size, settings.iterations)[1]
            if stored.get(_STEPS) == list(before) and settings.learning_rate_steps == after:
                stored = {**stored, _STEPS: list(after)}
            stored = {**stored, "iterations": settings.iterations}
        if directory is not None and _absolute(stored["data"], directory) == _absolute(data, Path.cwd()):
            stored = {**stored, "data": data}
        changed = [name for name in asked if asked[name] != stored.get(name)]
        if changed:
            changes = ", ".join(_change(name, stored, asked) for name in changed)
            raise UsageError(
                f"cannot resume {self.path} with other settings: {changes}; leave them out, since --resume knows them "
                "(--iterations may be more than they were), or start a new run from a checkpoint with --weights"
            )
        return state

    def save_broken_batch(self, iteration: int, rank: int, terms: dict[str, float], batches: list[Batch]) -> Path:
        """Write the batches of a process of this rank whose loss is not finite. Raises YolactError where that fails.

        The file holds a dictionary with ``iteration``, ``terms`` of the loss, and ``batches``, each with ``images`` and
        the ``targets`` of each image.
        """
        path = self.path / f"broken_batch_{iteration}_{rank}.pth"
        content = [{"images": one.images, "targets": [vars(target) for target in one.targets]} for one in batches]
        self.write(path, as_bytes({"iteration": iteration, "terms": terms, "batches": content}))
        return path

    def write(self, path: Path, content: bytes) -> None:
        """Write a file so that it is whole or not there. Raises YolactError where that fails."""
        try:
            _write(path, content)
        except OSError as error:
            raise YolactError(
                f"cannot save {path}: {error.strerror}; free space and continue with --resume, earlier files are whole"
            ) from error

    def try_to_write(self, path: Path, content: bytes) -> str:
        """Write a file likewise, of those that training can do without. Returns the error, else an empty text."""
        try:
            path.parent.mkdir(exist_ok=True)
            _write(path, content)
        except OSError as error:
            return f"cannot write {path}: {error.strerror}"
        except UsageError as error:  # a folder has its name, or a device
            return str(error)
        return ""


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def check_classes(state: Mapping[str, Any], config: ModelConfig) -> None:
    """Raise UsageError where the data has other classes than those that the state of a run has learnt."""
    if ModelConfig.from_json(state["config"]) != config:
        raise UsageError(
            f"cannot resume with other data: another form or other classes of {config.name}; restore the annotations, "
            "or start a new run from a checkpoint with --weights"
        )


def _origin(state: object) -> dict[str, Any]:
    """The request of a state's run, as values of JSON. Raises ValueError where it is not as it is saved."""
    known = exactly("the state", state, STATE_PARTS)
    if whole("version", known["version"], 0, 2**31) != STATE_VERSION:
        raise ValueError(f"it has version {known['version']}, expected {STATE_VERSION}")
    whole("iteration", known["iteration"], 0, 2**53)
    for part in ("settings", "config", "model", "optimizer", "scaler"):
        if not isinstance(known[part], dict):
            raise ValueError(f"its {part} is no dictionary")
    try:
        origin = from_json(to_json({**known["settings"], "config": known["config"], "data": known["data"]}))
    except (TypeError, RecursionError):
        raise ValueError("its settings are no plain values") from None
    ModelConfig.from_json(origin["config"])
    return dict(origin)


def _absolute(data: object, directory: Path) -> str:
    """Data with its paths from the root."""
    return ",".join(os.path.normpath(directory / part) for part in str(data).split(","))


def as_bytes(content: Any) -> bytes:
    """The content as `torch.save` writes it, in memory: into a file on a full disk it would not raise an OSError."""
    buffer = io.BytesIO()
    torch.save(_on_cpu(content), buffer)
    return buffer.getvalue()


def _on_cpu(content: Any) -> Any:
    """A copy whose tensors do not remember a GPU that another machine may not have."""
    if isinstance(content, torch.Tensor):
        return content.detach().cpu()
    if isinstance(content, dict):
        return {name: _on_cpu(value) for name, value in content.items()}
    return [_on_cpu(value) for value in content] if isinstance(content, list) else content


def _change(name: str, stored: dict[str, Any], asked: dict[str, Any]) -> str:
    if name == "config":
        if stored[name]["name"] != asked[name]["name"]:
            return f"configuration {asked[name]['name']} instead of {stored[name]['name']}"
        return f"another form or other classes of {asked[name]['name']}"
    return f"{name} {asked[name]} instead of {stored.get(name)}"
