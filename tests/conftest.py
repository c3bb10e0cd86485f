"""How the tests are run, and fixtures that several folders of tests share."""

from __future__ import annotations

import gc
import os
import signal
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import made_once
import missing
import pytest
from made_once import MakeOnce
from repository import SHARED

from yolact.runtime.config import ModelConfig, PostprocessConfig

if TYPE_CHECKING:
    from yolact.runtime.images.preprocess import Image


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--parity-table", type=Path, help="write the largest differences that the parity tests saw to this file"
    )


def pytest_configure() -> None:
    """Let signals do what they do in a terminal, also where a shell started the tests in the background."""
    default = signal.SIG_DFL
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: default, signal.SIGQUIT: default}
    for number, handler in usual.items():
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)
    if "PYTEST_XDIST_WORKER" in os.environ:  # or a test of such a process has started this one
        take_one_thread()


def take_one_thread() -> None:
    """Workers are as many as there are cores: more threads, in them and the programs they start, would only wait."""
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}  # read where a library is first imported
    import onnxruntime

    class OneThread(onnxruntime.SessionOptions):  # type: ignore[misc]  # ONNX Runtime reads no environment variable
        def __init__(self) -> None:
            super().__init__()
            self.intra_op_num_threads = 1

    onnxruntime.SessionOptions = OneThread


LONGEST = (
    "test_train_cli.py",
    "test_installation.py",
    "test_triton_server.py",
    "test_host_cuda.py",
    "test_trainer.py",
    "test_loss.py",
)
"""They start first, so that at the end no process has a long file to itself."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_collection_finish() -> None:
    """Let the collector of garbage pass over what all these imports left, which is most of what there is."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was skipped, one line a reason."""
    reports = terminalreporter.getreports("skipped")
    reasons = Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in reports)
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"skipped {count} {'test' if count == 1 else 'tests'}: {reason}", yellow=True)


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> MakeOnce:
    """See `made_once`."""
    own = tmp_path_factory.getbasetemp()
    return partial(made_once.make_once, own.parent if hasattr(pytestconfig, "workerinput") else own)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded reference numbers beside the repository; its tests are skipped without it."""
    if not SHARED.is_dir():
        pytest.skip("the recorded reference numbers are not here -- put their folder, shared, beside the clone")
    return SHARED


@pytest.fixture(scope="session")
def export_seeded() -> Callable[..., Path]:
    """Writes files exported from lively random weights: (config, path, postprocess, **export options) -> path."""
    pytest.importorskip("torch", reason=missing.PYTORCH)
    import onnx
    from seeded import seeded

    from yolact.export.onnx_model import export_model

    def export(config: ModelConfig, path: Path, postprocess: PostprocessConfig, **options: Any) -> Path:
        onnx.save(export_model(seeded(config), postprocess, weights_sha256="", **options), path)
        return path

    return export


@pytest.fixture(scope="session")
def tiny_config() -> ModelConfig:
    """Few classes, channels and pixels, so that a test runs in milliseconds."""
    return ModelConfig("tiny", "mobilenet_v2", 160, ("person", "dog", "kite"), fpn_channels=64)


@pytest.fixture(scope="session")
def tiny_engines(tiny_config: ModelConfig, export_seeded: Callable[..., Path], make_once: MakeOnce) -> Path:
    """The folder of the two engines below."""

    def export(folder: Path) -> None:
        few = PostprocessConfig(max_detections=20)
        export_seeded(tiny_config, folder / "tiny.onnx", few)
        export_seeded(tiny_config, folder / "tiny-raw.onnx", few, graph="raw")

    return make_once("engines", export)


@pytest.fixture(scope="session")
def tiny_engine(tiny_engines: Path) -> Path:
    """A full graph of `tiny_config` for any batch, with at most 20 detections."""
    return tiny_engines / "tiny.onnx"


@pytest.fixture(scope="session")
def tiny_raw_engine(tiny_engines: Path) -> Path:
    """The same network up to its heads."""
    return tiny_engines / "tiny-raw.onnx"


@pytest.fixture(scope="session")
def photos() -> list[Image]:
    """Three images of different shapes, none square: photos where they are on this machine, else scenes."""
    import cv2

    from yolact.runtime.images.check_image import make_check_image

    if not SHARED.is_dir():
        return [make_check_image(*size, seed) for seed, size in enumerate([(428, 640), (426, 640), (640, 512)])]
    names = ("000000000030", "000000000071", "000000000086")
    images = [cv2.imread(str(SHARED / "coco" / "images" / f"{name}.jpg")) for name in names]
    assert len({image.shape for image in images}) == len(images)
    return images


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file whose answers are known: see `scripted_engine`."""
    from scripted_engine import write_engine

    return write_engine(tmp_path_factory.mktemp("engine") / "scripted.onnx")


@pytest.fixture(scope="session")
def host_kernels(make_once: MakeOnce) -> Path:
    """The CUDA kernels, built for this CPU."""
    from host_kernel_build import build_host_kernels

    library = "libyolact_kernels.so"
    return make_once("kernels", lambda folder: build_host_kernels(folder / library)) / library


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
