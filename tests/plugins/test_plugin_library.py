"""The libraries that CMake builds: what they export and need, and what TensorRT for RTX makes of them without a GPU."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import missing
import pytest
from made_once import MakeOnce
from plugin_calls import ATTRIBUTES, OUTPUTS, REFUSED
from plugin_libraries import built_libraries
from repository import ROOT

from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.contract import PLUGIN_NAMESPACE, PLUGIN_VERSION

KERNELS = "libyolact_kernels.so"
PLUGINS = "libyolact_plugins.so"
REGISTERED = "libyolact_plugins_registered.so"
RTX_NAME = "rtx/libtensorrt_rtx.so"
SYSTEM = {"libstdc++.so.6", "libgcc_s.so.1", "libc.so.6", "libm.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0"}


@pytest.fixture(scope="session")
def libraries(make_once: MakeOnce) -> Path:
    """The folder of all real libraries."""
    return built_libraries(make_once)


@pytest.fixture(scope="session")
def networks(
    tiny_engine: Path,
    tiny_config: ModelConfig,
    export_seeded: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """Exported files by precision."""
    path = tmp_path_factory.mktemp("engine") / "half.onnx"
    export_seeded(tiny_config, path, PostprocessConfig(max_detections=20), precision="fp16")
    return {"fp32": tiny_engine, "fp16": path}


@pytest.fixture(scope="session")
def rtx(libraries: Path, networks: dict[str, Path]) -> dict[str, Any]:
    """What `rtx_plugins.py` tells."""
    pytest.importorskip("tensorrt_rtx", reason=missing.TENSORRT_RTX)
    return ask_rtx(libraries, PLUGINS, *networks.values())


def ask_rtx(libraries: Path, library: str, *models: Path, **environment: str) -> dict[str, Any]:
    command = [sys.executable, ROOT / "tests" / "support" / "rtx_plugins.py", libraries, library, *models]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=500, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def symbols(library: Path, *options: str) -> set[str]:
    if shutil.which("nm") is None:
        pytest.skip(missing.program("nm"))
    lines = subprocess.run(["nm", "-D", *options, library], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1].partition("@")[0] for line in lines.splitlines()}


def needed(library: Path) -> set[str]:
    if shutil.which("readelf") is None:
        pytest.skip(missing.program("readelf"))
    lines = subprocess.run(["readelf", "-dW", library], capture_output=True, text=True, check=True).stdout
    return {name for name in re.findall(r"\(NEEDED\).*\[(.*)\]", lines) if not name.startswith("ld-linux")}


def test_exports(libraries: Path) -> None:
    assert {str(path.relative_to(libraries)) for path in libraries.rglob("*.so")} == {
        *(KERNELS, PLUGINS, REGISTERED, RTX_NAME)
    }
    assert symbols(libraries / PLUGINS, "--defined-only") == {"getCreators", "setLoggerFinder"}
    assert symbols(libraries / REGISTERED, "--defined-only") == set()
    declared = set()
    for header in (ROOT / "plugins").glob("*/*.h"):
        declared |= set(re.findall(r"^[\w *]+?(yolact_\w+)\(", header.read_text(), re.MULTILINE))
    assert {"yolact_fast_nms", "yolact_mask_assembly_check"} < declared
    assert symbols(libraries / KERNELS, "--defined-only") == declared


@pytest.mark.parametrize("name", [KERNELS, PLUGINS, REGISTERED])
def test_nothing_of_tensorrt_or_cuda_is_needed(libraries: Path, name: str) -> None:
    assert needed(libraries / name) <= SYSTEM
    undefined = symbols(libraries / name, "--undefined-only")
    assert not {symbol for symbol in undefined if re.search("nvinfer|Plugin|createInfer|getLogger|^cu", symbol)}


def test_registers_when_loaded(rtx: dict[str, Any]) -> None:
    assert rtx["before"] == []
    types = {float: "FLOAT32", int: "INT32"}
    assert rtx["creators"] == [
        {
            "name": [op, PLUGIN_VERSION, PLUGIN_NAMESPACE],
            "fields": {name: types[type(value)] for name, value in ATTRIBUTES[op].items()},
        }
        for op in OUTPUTS
    ]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_network_is_built_with_the_plugins(rtx: dict[str, Any], networks: dict[str, Path], precision: str) -> None:
    """Before they are registered the file is parsed to the same outputs without them."""
    path = str(networks[precision])
    before, after = rtx[f"{path} before"], rtx[path]
    assert (before["plugins"], before["parsed"], before["errors"]) == ([], True, [])
    assert (after["plugins"], after["built"], after["errors"]) == (list(OUTPUTS), True, [])
    assert before["outputs"] == after["outputs"]
    assert after["outputs"] == [
        ["num_detections", "INT32", [-1, 1]],
        ["boxes", "FLOAT", [-1, 20, 4]],
        ["scores", "FLOAT", [-1, 20]],
        ["classes", "INT32", [-1, 20]],
        ["masks", "FLOAT", [-1, 20, 40, 40]],
    ]


@pytest.mark.parametrize(("dtype", "name"), [("float32", "FLOAT"), ("float16", "HALF"), ("bfloat16", "BF16")])
def test_builds_in_each_type(rtx: dict[str, Any], dtype: str, name: str) -> None:
    nms, masks = (rtx[f"{op} {dtype}"] for op in OUTPUTS)
    assert (nms["built"], masks["built"], nms["errors"] + masks["errors"]) == (True, True, [])
    assert nms["outputs"][-1] == ["detection_coefficients", name, [-1, 20, 8]]
    assert masks["outputs"] == [["masks", "FLOAT", [-1, 20, 12, 14]]]


@pytest.mark.parametrize("name", REFUSED)
def test_tensorrt_logs_why_a_call_is_refused(rtx: dict[str, Any], name: str) -> None:
    outcome = rtx[name]
    assert (outcome["parsed"], outcome["built"]) == (False, False)
    assert re.match(f"{REFUSED[name].op}: .*{REFUSED[name].sentence}", outcome["errors"][0])


def test_the_registering_library(libraries: Path) -> None:
    """Loading it is enough, also before TensorRT where that is on the library path."""
    trt = pytest.importorskip("tensorrt_rtx", reason=missing.TENSORRT_RTX)
    outcome = ask_rtx(libraries, REGISTERED)
    assert (outcome["before"], [creator["name"][0] for creator in outcome["creators"]]) == ([], list(OUTPUTS))
    assert outcome["YolactFastNms float32"]["built"]
    assert re.match(f".*{REFUSED['many classes'].sentence}", outcome["many classes"]["errors"][0])

    folder = Path(trt.__file__).parents[1] / "tensorrt_rtx_libs"
    environment = {"LD_PRELOAD": str(libraries / REGISTERED), "LD_LIBRARY_PATH": str(folder)}
    outcome = ask_rtx(libraries, REGISTERED, **environment)
    assert len(outcome["before"]) == len(OUTPUTS)


def test_the_registering_library_without_tensorrt(libraries: Path) -> None:
    """Says so, and the process goes on."""
    program = f"import ctypes; ctypes.CDLL({str(libraries / REGISTERED)!r}); print('alive')"
    environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60, env=environment
    )
    if "neither TensorRT" not in done.stderr:
        pytest.skip("TensorRT is on the library path, and this is about machines without it -- run the tests on one")
    assert re.match(f"{REGISTERED}: neither TensorRT 10 .*; no plugins are registered\n$", done.stderr)
    assert done.stdout == "alive\n"
