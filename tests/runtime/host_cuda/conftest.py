"""Fixtures of the tests that run against the host driver; `test_host_cuda.py` one folder up starts them."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import missing
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


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """ONNX Runtime's threads spin while they wait for each other, which tiny networks on a busy machine pay dearly."""
    from yolact.runtime.onnx import session

    options = session.session_options
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "session_options", lambda threads=None, **more: options(threads or 1, **more))
        yield


@pytest.fixture
def device() -> Iterator[object]:
    from yolact.runtime.cuda.device import Device

    with_context = Device.open()
    yield with_context
    with_context.close()


@pytest.fixture(scope="session")
def kernels_folder() -> Path:
    """The folder of the project's kernels, built for this CPU, whose launches the host driver puts on its streams."""
    import ctypes

    from host_cuda.host_driver import LIBRARY

    if "YOLACT_HOST_KERNELS" not in os.environ:
        pytest.skip(missing.CUDA_TOOLKIT)
    path = Path(os.environ["YOLACT_HOST_KERNELS"])
    ctypes.CDLL(str(path)).host_cuda_put_on_streams(LIBRARY.host_cuda_launch)
    return path.parent


@pytest.fixture
def kernels(kernels_folder: Path) -> object:
    """The library in that folder."""
    from yolact.runtime.cuda.kernels import LIBRARY, KernelLibrary

    return KernelLibrary(kernels_folder / LIBRARY.name)


@pytest.fixture
def open_plan(device: object) -> Iterator[Callable[..., object]]:
    """Makes TensorRTEngine of an exported file: (path, min_batch, max_batch, trt=..., kernels=...), closed after the
    test."""
    from host_cuda.host_tensorrt import TENSORRT, HostEngine

    from yolact.runtime.tensorrt.engine import TensorRTEngine

    opened = []

    def open_(
        path: Path, *batch: int, trt: object = TENSORRT, kernels: object = None, **options: bool
    ) -> tuple[object, HostEngine]:
        host = HostEngine(path, *batch, **options)
        engine = TensorRTEngine(host, trt, host.onnx.metadata, device, host.reason, kernels)
        opened.append((engine, host))
        return engine, host

    yield open_
    for engine, host in opened:
        engine.close()
        gc.collect()
        assert not host.contexts
        assert host.problems == []
