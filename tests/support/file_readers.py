"""What reads files and texts of strangers: for each kind a good file to begin with, and the reader.

A reader hands over checked values or raises a `YolactError`; everything else is a fault.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from plan_files import IDENTITY, METADATA
from scripted_engine import write_engine

from yolact.calib.activation_statistics import TensorStatistics, ValueRange
from yolact.calib.calibration_files import (
    CalibrationKey,
    Progress,
    read_progress,
    read_ranges,
    write_progress,
    write_ranges,
)
from yolact.calib.options import progress_file
from yolact.runtime.config import ModelConfig
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.onnx.exported_model import parse_exported_model
from yolact.runtime.tensorrt.plan_file import from_network_name, read_sidecar, to_network_name
from yolact.training.models.checkpoints import config_beside, read_state_dict
from yolact.training.run_folder import RunFolder
from yolact.training.run_record import STATE_FILE
from yolact.training.settings import TrainSettings

CONFIG = ModelConfig("tiny", "mobilenet_v2", 160, ("person", "dog"), fpn_channels=64)
KEY = CalibrationKey("a", "b", "c", "d")
SETTINGS = TrainSettings(10, (5,))


class Reader(NamedTuple):
    """One kind of file.

    Attributes:
        seed: a good one.
        read: takes the bytes of any.
        is_json: of values that can be changed one by one.
        runs: how many mutants a test tries: as many as take about half a second.
    """

    seed: bytes
    read: Callable[[bytes], object]
    is_json: bool
    runs: int


def _from_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    folder = Path(tempfile.mkdtemp(prefix="yolact-fuzz-"))

    def read_bytes(data: bytes) -> object:
        (folder / name).write_bytes(data)
        return read(folder / name)

    return read_bytes


def _saved(content: object, zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def _written(write: Callable[[Path], object], where: Callable[[Path], Path] = lambda path: path) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        write(path)
        return where(path).read_bytes()


def _props(data: bytes) -> object:
    try:
        props = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return ModelMetadata.from_props(props, "a file")


def _progress(cache: Path) -> object:
    progress_file(cache).write_bytes(cache.read_bytes())
    return read_progress(cache, KEY)


def make_readers() -> dict[str, Reader]:
    """All of them, by name."""
    weights = {"a.weight": torch.ones(3, 2), "b.bias": torch.zeros(2, dtype=torch.float16), "n": torch.tensor(3)}
    state = {"iteration": 3, "model": weights, "optimizer": {"state": {}}, "scaler": {}, "version": 1}
    state |= {"config": CONFIG.to_json(), "settings": asdict(SETTINGS), "data": "scenes"}
    statistics = {"x": TensorStatistics(ValueRange(-1.0, 2.0), np.ones(2048), 0.5)}
    ranges = {"x": ValueRange(-1.0, 2.0), "y": ValueRange(0.0, 3.5)}
    name = to_network_name(METADATA)
    return {
        "metadata": Reader(json.dumps(METADATA.to_props()).encode(), _props, True, 400),
        "sidecar": Reader(IDENTITY.to_sidecar(METADATA).encode(), _from_file("a.plan.json", read_sidecar), True, 400),
        "network name": Reader(name.encode(), lambda data: from_network_name(data.decode("latin-1"), "a"), False, 300),
        "configuration": Reader(
            json.dumps(CONFIG.to_json()).encode(),
            _from_file("a.json", lambda path: config_beside(path.with_suffix(".pth"))),
            True,
            600,
        ),
        "checkpoint": Reader(_saved(weights), _from_file("a.pth", read_state_dict), False, 300),
        "older checkpoint": Reader(_saved(weights, zipped=False), _from_file("a.pth", read_state_dict), False, 300),
        "state": Reader(
            _saved(state),
            _from_file(STATE_FILE, lambda path: RunFolder(path.parent).load_state(CONFIG, SETTINGS, "scenes")),
            False,
            150,
        ),
        "calibration cache": Reader(
            _written(lambda path: write_ranges(path, KEY, ranges)),
            _from_file("c.json", lambda path: read_ranges(path, KEY)),
            True,
            500,
        ),
        "calibration progress": Reader(
            _written(lambda path: write_progress(path, KEY, Progress(3, statistics)), progress_file),
            _from_file("c.json", _progress),
            False,
            150,
        ),
        "ONNX file": Reader(_written(write_engine), lambda data: parse_exported_model(data, "a file"), False, 300),
    }


def as_json(values: Any) -> bytes:
    """What Python writes of values, NaN and halves of surrogate pairs included."""
    return json.dumps(values).encode()
