"""Turns a file or repository that a user names into a file that a command or the runtime opens."""

from __future__ import annotations

import logging
from pathlib import Path

from yolact.hub.client import download_weights
from yolact.hub.engine_cache import find_or_make
from yolact.hub.exporting import plan_export
from yolact.runtime.engine import DeviceChoice
from yolact.runtime.model_names import Repository, is_checkpoint
from yolact.runtime.wording import Say

_LOG = logging.getLogger(__name__)


def weights_file(source: Path | Repository, note: Say) -> Path:
    """The file of a checkpoint: the named one, or that of a repository. Raises as `download_weights`."""
    return download_weights(source, note) if isinstance(source, Repository) else source


def engine_file(
    source: Path | Repository, device: DeviceChoice | None, note: Say = _LOG.warning, *, only_onnx: bool = False
) -> Path:
    """An engine file: the named one, or one exported from weights once, into the user's cache.

    Args:
        source: an engine file, a checkpoint, or a repository on Hugging Face.
        device: the device to run on, None to choose.
        note: gets the lines about downloads and exports; by default the log.
        only_onnx: whether the caller cannot use a plan.

    Raises as `download_weights`, `exporting.Export.make` and `engine_cache.find_or_make`.
    """
    path = weights_file(source, note)
    if not (is_checkpoint(path) and path.is_file()):
        return path
    export = plan_export(path, device, only_onnx=only_onnx)
    file, is_new = find_or_make(export.key, export.file_name, lambda folder: export.make(folder, note), note)
    if is_new:
        note(f"exported {source} to {file}, which is used from now on")
    return file
