"""Timing of ONNX models side by side, by ONNX Runtime on this CPU."""

from __future__ import annotations

import time
from collections.abc import Mapping
from statistics import median
from typing import Any

import numpy as np
import onnx
from tqdm import trange

from yolact.runtime.onnx.session import open_session

WARM_UPS = 3

Inputs = Mapping[str, np.ndarray[Any, Any]]


def time_in_turns(models: Mapping[str, tuple[onnx.ModelProto, Inputs]], runs: int, threads: int) -> dict[str, float]:
    """The median milliseconds of each model on its inputs. Models run in turn, so that all meet the same load."""
    sessions = {name: open_session(proto, threads=threads) for name, (proto, _) in models.items()}
    samples: dict[str, list[float]] = {name: [] for name in models}
    for run in trange(WARM_UPS + runs, disable=None):
        for name, (_, inputs) in models.items():
            start = time.perf_counter()
            sessions[name].run(None, inputs)
            if run >= WARM_UPS:
                samples[name].append((time.perf_counter() - start) * 1e3)
    return {name: median(values) for name, values in samples.items()}
