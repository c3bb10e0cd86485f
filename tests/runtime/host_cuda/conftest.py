"""Fixtures of the tests that run against the host driver; `test_host_cuda.py` one folder up starts them."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# In the main test process there must be no libcuda that is none.
collect_ignore_glob = [] if "YOLACT_HOST_CUDA" in os.environ else ["test_*.py"]


@pytest.fixture(autouse=True)
def clean(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test nothing may be left on the GPU, and no rule of CUDA's may have been broken."""
    from host_cuda.host_driver import LIVE, configure, count

    for name, value in {"misuse": 0, "devices": 2, "memory": 1 << 30, "interleave": 0}.items():
        configure(name, value)
    gc.freeze()  # what is alive before a test need not be searched after it
    yield
    gc.collect()
    assert {name: count(name) for name in (*LIVE, "misuse")} == dict.fromkeys((*LIVE, "misuse"), 0)


@pytest.fixture
def device() -> Iterator[object]:
    from yolact.runtime.cuda.device import Device

    with_context = Device.open()
    yield with_context
    with_context.close()


@pytest.fixture
def open_plan(device: object) -> Iterator[Callable[..., object]]:
    """Makes TensorRTEngine of an exported file: (path, min_batch, max_batch, trt=...), closed after the test."""
    from host_cuda.host_tensorrt import TENSORRT, HostEngine

    from yolact.runtime.tensorrt.engine import TensorRTEngine

    opened = []

    def open_(path: Path, *batch: int, trt: object = TENSORRT, **options: bool) -> tuple[object, HostEngine]:
        host = HostEngine(path, *batch, **options)
        engine = TensorRTEngine(host, trt, host.onnx.metadata, device, host.reason)
        opened.append((engine, host))
        return engine, host

    yield open_
    for engine, host in opened:
        engine.close()
        gc.collect()
        assert not host.contexts
        assert host.problems == []
