"""Fixtures shared by all tests."""

from __future__ import annotations

import signal
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from repository import SHARED

from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.errors import YolactError

if TYPE_CHECKING:
    from kernel_backends import Backend


def pytest_configure() -> None:
    """Let signals do what they do in a terminal, also where a shell started the tests in the background."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--parity-table", type=Path, help="write the largest differences that the parity tests saw to this file"
    )


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded reference numbers beside the repository; its tests are skipped without it."""
    if not SHARED.is_dir():
        pytest.skip("the recorded reference numbers (../shared) are not on this machine")
    return SHARED


@pytest.fixture(scope="session")
def parity_log(request: pytest.FixtureRequest) -> Iterator[Callable[..., None]]:
    """Collects largest differences per configuration and runtime; see `--parity-table`."""
    table: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)

    def log(config: str, runtime: str, image: str, differences: dict[str, float]) -> None:
        row = table[config, runtime]
        for name, value in differences.items():
            row[name] = max(value, row.get(name, 0.0))

    yield log
    path = request.config.getoption("--parity-table")
    if path is not None:
        path.write_text(_as_tables(table))


def _as_tables(table: dict[tuple[str, str], dict[str, float]]) -> str:
    """Markdown, one table per runtime."""
    parts = []
    for runtime in dict.fromkeys(runtime for _, runtime in table):
        rows = {config: row for (config, other), row in table.items() if other == runtime}
        columns = list(dict.fromkeys(name for row in rows.values() for name in row))
        lines = [f"### {runtime}", "", f"| configuration | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
        for config, row in rows.items():
            cells = [f"{row[name]:.2g}" if name in row else "" for name in columns]
            lines.append(f"| {config} | {' | '.join(cells)} |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


@pytest.fixture(scope="session")
def export_seeded() -> Callable[..., Path]:
    """Writes files exported from lively random weights: (config, path, postprocess, **export options) -> path."""
    import onnx
    from seeded import seeded

    from yolact.export.onnx_model import export_model

    def export(config: ModelConfig, path: Path, postprocess: PostprocessConfig, **options: Any) -> Path:
        onnx.save(export_model(seeded(config), postprocess, weights_sha256="", **options), path)
        return path

    return export


@pytest.fixture(scope="session")
def tiny_config() -> ModelConfig:
    """Few classes and a small input, so that a test runs in milliseconds."""
    return ModelConfig("tiny", "resnet50", 160, ("person", "dog", "kite"))


@pytest.fixture(scope="session")
def tiny_engine(
    tiny_config: ModelConfig, export_seeded: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A full graph of `tiny_config` for any batch, with at most 20 detections."""
    path = tmp_path_factory.mktemp("engine") / "tiny.onnx"
    return export_seeded(tiny_config, path, PostprocessConfig(max_detections=20))


@pytest.fixture(scope="session")
def tiny_raw_engine(
    tiny_config: ModelConfig, export_seeded: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same network up to its heads."""
    path = tmp_path_factory.mktemp("engine") / "tiny-raw.onnx"
    return export_seeded(tiny_config, path, PostprocessConfig(max_detections=20), graph="raw")


@pytest.fixture(scope="session")
def photos() -> list[np.ndarray]:
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
def host_kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CUDA kernels, built for this CPU."""
    from host_kernel_build import build_host_kernels

    return build_host_kernels(tmp_path_factory.mktemp("kernels") / "libyolact_kernels.so")


@pytest.fixture(scope="session", params=["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def backend(request: pytest.FixtureRequest) -> Backend:
    """The CUDA kernels, on this CPU and on a GPU."""
    from kernel_backends import GpuBackend, HostBackend

    if request.param == "cpu":
        return HostBackend(request.getfixturevalue("host_kernels"))
    try:
        return GpuBackend()
    except YolactError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def capi_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with libyolact.so, built for this environment."""
    from yolact.runtime.capi.build import BuildFailed, build

    folder = tmp_path_factory.mktemp("capi")
    try:
        build(folder)
    except BuildFailed as error:
        pytest.skip(str(error))
    return folder


@pytest.fixture(scope="session")
def capi(capi_folder: Path) -> Any:
    """The library, loaded into this process, which runs Python already."""
    import capi_client

    return capi_client.load(capi_folder / "libyolact.so")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
