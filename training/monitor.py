"""Curves and pictures of a training run: for TensorBoard always, for Weights & Biases where asked."""

from __future__ import annotations

import inspect
import json
import logging
import os
import threading
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

import cv2

from yolact.runtime.errors import YolactError
from yolact.runtime.images.arrays import Image
from yolact.runtime.output_files import replacing
from yolact.runtime.packages import PackageMissing

if TYPE_CHECKING:
    import wandb

logger = logging.getLogger(__name__)

PROJECT = "yolact"
"""Project in Weights & Biases that runs appear in."""

RUN_ID_FILE = "wandb_run_id.txt"
"""File in the folder of a run with the id by which Weights & Biases knows the run again when it is resumed."""


class Monitor:
    """Shows a training run in TensorBoard and Weights & Biases.

    >>> with Monitor(Path("runs"), settings={"learning_rate": 1e-3}) as monitor:
    ...     monitor.scalars({"loss/box": 1.2, "loss/mask": 3.4}, iteration=20)
    ...     monitor.picture("prototypes", prototype_sheet(prototypes), iteration=20)
    """

    def __init__(
        self,
        folder: Path,
        *,
        wandb: bool = False,
        name: str = "",
        settings: Mapping[str, object] | None = None,
        resumed_at: int | None = None,
    ) -> None:
        """
        Args:
            folder: of the run; event files, and the local files of Weights & Biases, are written into it.
            wandb: also log to Weights & Biases, to its project "yolact". WANDB_MODE=offline keeps it local.
            name: of the run in Weights & Biases.
            settings: the settings that the run depends on, shown beside it.
            resumed_at: iteration of the checkpoint from which an earlier run in this folder is continued. What that
                run logged after it is hidden. None hides everything an earlier run in the folder logged.

        Raises YolactError where a package is missing, or Weights & Biases is not set up or cannot be reached.
        """
        writer_type = _summary_writer_type()
        self._wandb = _open_wandb(folder, name, settings or {}, resumed_at) if wandb else None
        # TensorBoard hides what earlier event files in the folder say from this step on.
        purge_step = 0 if resumed_at is None else resumed_at + 1
        self._events = _EventFile(lambda: writer_type(str(folder), purge_step=purge_step))
        if resumed_at is None:
            content = json.dumps(dict(settings or {}), indent=2, default=str)
            self._events.log(lambda writer: writer.add_text("settings", f"```json\n{content}\n```", 0))

    def scalars(self, values: Mapping[str, float], iteration: int) -> None:
        """Add a point to each of several curves; ``group/name`` puts curves of a group together."""

        def add(writer: Any) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, iteration)

        self._events.log(add)
        if self._wandb is not None:
            self._wandb.log(dict(values), step=iteration)

    def picture(self, name: str, image_bgr: Image, iteration: int) -> None:
        """Add a picture (H, W, 3) uint8 BGR to a series of pictures."""
        image = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB)
        self._events.log(lambda writer: writer.add_image(name, image, iteration, dataformats="HWC"))
        self._events.log(lambda writer: writer.flush())  # pictures are rare, and worth looking at when they are made
        if self._wandb is not None:
            import wandb

            self._wandb.log({name: wandb.Image(image)}, step=iteration)

    def close(self) -> None:
        """Write pending data and end the run. Calling it again does nothing."""
        self._close(0)

    def _close(self, exit_code: int) -> None:
        self._events.close()
        if self._wandb is not None:
            self._wandb.finish(exit_code)
            self._wandb = None

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close(int(kind is not None))


class _EventFile:
    """TensorBoard's writer, without which training goes on, with a warning, where the disk is full.

    A thread of its own writes the file. Its failure is raised by the next call, so its traceback is not printed.
    """

    def __init__(self, open_writer: Callable[[], Any]) -> None:
        self._writer: Any = None
        self._hook = threading.excepthook
        threading.excepthook = self._on_thread_failure
        self._try(lambda: setattr(self, "_writer", open_writer()))

    def log(self, call: Callable[[Any], object]) -> None:
        """Have the writer do something."""
        if self._writer is not None:
            self._try(lambda: call(self._writer))

    def close(self) -> None:
        """Write pending data; a second time nothing."""
        self.log(lambda writer: writer.close())
        threading.excepthook = self._hook

    def _try(self, call: Callable[[], object]) -> None:
        try:
            call()
        except OSError as error:
            self._writer = None
            logger.warning("cannot write the file for TensorBoard: %s; training goes on without it", error.strerror)

    def _on_thread_failure(self, failure: threading.ExceptHookArgs) -> None:
        if not (isinstance(failure.exc_value, OSError) and type(failure.thread).__name__ == "_AsyncWriterThread"):
            self._hook(failure)


def _summary_writer_type() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        missing = error.name or "tensorboard"
        raise PackageMissing("logging", missing, "train") from None
    return SummaryWriter


def _open_wandb(folder: Path, name: str, settings: Mapping[str, object], resumed_at: int | None) -> wandb.Run:
    try:
        import wandb
    except ImportError:
        raise PackageMissing("--wandb", "wandb", "wandb") from None
    try:
        _check_login(wandb)
        folder.mkdir(parents=True, exist_ok=True)
        # On a resumed run Weights & Biases leaves out what it is told about steps that it has already.
        return wandb.init(
            project=PROJECT,
            name=name or None,
            dir=folder,
            id=_run_id(folder, resumed_at is not None),
            resume="allow",
            config=dict(settings),
        )
    except wandb.errors.Error as error:
        raise YolactError(f"Weights & Biases cannot start ({error}); set WANDB_MODE=offline to log locally") from error


def _check_login(wandb: ModuleType) -> None:
    """Raise YolactError where Weights & Biases would ask for a key: nobody may be there to answer."""
    mode = os.environ.get("WANDB_MODE") or wandb.setup().settings.mode
    if mode in ("offline", "dryrun", "disabled"):
        return
    if "prompt" in inspect.signature(wandb.login).parameters:
        is_known = wandb.login(prompt=False, verify=False)
    else:  # before 0.31
        is_known = wandb.api.api_key is not None
    if not is_known:
        raise YolactError("--wandb needs an API key; run `wandb login` first, or set WANDB_MODE=offline to log locally")


def _run_id(folder: Path, is_resumed: bool) -> str:
    """The id of the run in this folder; a new one for a new run."""
    path = folder / RUN_ID_FILE
    if is_resumed and path.is_file():
        return path.read_text(encoding="ascii").strip()
    run_id = uuid.uuid4().hex
    with replacing(path) as temporary:
        temporary.write_text(run_id, encoding="ascii")
    return run_id
