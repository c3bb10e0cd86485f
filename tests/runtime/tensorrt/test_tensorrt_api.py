"""Every name of TensorRT's Python API that the toolkit uses exists in the TensorRT versions it is for.

Full TensorRT needs libraries of gigabytes and a GPU, but its Python bindings are a small wheel. They import with empty
libraries in place of the real ones, and then tell which classes, methods and flags a version has. What these do is not
shown here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import missing
import pytest
from repository import ROOT

SOURCES = [
    *(ROOT / "engines").glob("*.py"),
    *(ROOT / "runtime" / "tensorrt").glob("*.py"),
]

VERSIONS = {
    "tensorrt-cu12-bindings": ["10.3.0", "10.13.3.9", "10.16.1.11"],
    "tensorrt-cu13-bindings": ["11.0.0.114", "11.4.0.106"],
}

ONLY_RTX = {
    "BuilderFlag.REQUIRE_USER_ALLOCATION",
    "ComputeCapability",
    "ComputeCapability.__members__",
    "CudaGraphStrategy",
    "CudaGraphStrategy.WHOLE_GRAPH_CAPTURE",
}
"""Names that are used only with TensorRT for RTX, or after seeing that they are there."""

USED = {
    "Builder": "create_network create_builder_config create_optimization_profile build_serialized_network",
    "INetworkDefinition": "name num_layers num_outputs get_layer get_output",
    "ILayer": "name type num_outputs get_output",
    "ITensor": "name dtype shape",
    "OnnxParser": "parse num_errors get_error",
    "ParserError": "desc node_name node_operator",
    "IOptimizationProfile": "set_shape",
    "IBuilderConfig": "add_optimization_profile profiling_verbosity set_memory_pool_limit builder_optimization_level "
    "set_flag hardware_compatibility_level progress_monitor create_timing_cache set_timing_cache get_timing_cache "
    "plugins_to_serialize",
    "ITimingCache": "serialize",
    "IProgressMonitor": "phase_start phase_finish step_complete",
    "ILogger": "log",
    "Runtime": "deserialize_cuda_engine engine_host_code_allowed tempfile_control_flags",
    "ICudaEngine": "name device_memory_size_v2 num_io_tensors get_tensor_name get_tensor_mode get_tensor_dtype "
    "get_tensor_shape get_tensor_profile_shape create_execution_context create_engine_inspector",
    "IExecutionContext": "set_device_memory nvtx_verbosity set_input_shape set_tensor_address execute_async_v3",
    "EngineInspector": "get_engine_information",
    "IPluginRegistry": "all_creators load_library",
    "IPluginCreator": "name plugin_version plugin_namespace",
    "IPluginCreatorV3One": "name plugin_version plugin_namespace",
}

LIBRARY = """
void *createInferBuilder_INTERNAL(void) { return 0; }
void *createInferRefitter_INTERNAL(void) { return 0; }
void *createInferRuntime_INTERNAL(void) { return 0; }
void *createNvOnnxParser_INTERNAL(void) { return 0; }
void *createNvOnnxParserRefitter_INTERNAL(void) { return 0; }
void *getBuilderPluginRegistry(void) { return 0; }
void *getPluginRegistry(void) { return 0; }
int getNvOnnxParserVersion(void) { return 0; }
int initLibNvInferPlugins(void) { return 0; }
"""

LISTING = """
import json, sys, tensorrt_bindings as trt
names = dir(trt)
json.dump(names + [f"{n}.{a}" for n in names for a in dir(getattr(trt, n))], sys.stdout)
"""

PAIRS = [(package, version) for package, versions in VERSIONS.items() for version in versions]


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of empty libraries under the names of TensorRT's."""
    if shutil.which("gcc") is None or sys.platform != "linux":
        pytest.skip(missing.LINUX)
    folder = tmp_path_factory.mktemp("libraries")
    (folder / "empty.c").write_text(LIBRARY)
    for major in (10, 11):
        for name in ("nvinfer", "nvinfer_plugin", "nvonnxparser"):
            soname = f"lib{name}.so.{major}"
            options = ["-shared", "-fPIC", f"-Wl,-soname,{soname}", "-o", folder / soname]
            subprocess.run(["gcc", *options, folder / "empty.c"], check=True)
    return folder


@pytest.mark.parametrize(("package", "version"), PAIRS, ids=[version for _, version in PAIRS])
def test_all_names_exist(package: str, version: str, libraries: Path, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--target", tmp_path]
    if subprocess.run([*pip, f"{package}=={version}"], capture_output=True, check=False).returncode:
        pytest.skip(f"{package} {version} cannot be fetched -- run the tests with a network and a usual Python")
    environment = os.environ | {"LD_LIBRARY_PATH": str(libraries), "PYTHONPATH": str(tmp_path)}
    listing = subprocess.run(
        [sys.executable, "-c", LISTING], env=environment, capture_output=True, text=True, check=True
    )
    present = set(json.loads(listing.stdout))
    used = names_of_the_module() | {f"{kind}.{name}" for kind, names in USED.items() for name in names.split()}
    assert used - present - ONLY_RTX == set()


def names_of_the_module() -> set[str]:
    """`Builder`, `BuilderFlag.VERSION_COMPATIBLE` and so on: what follows the module's name in the sources."""
    text = "\n".join(path.read_text() for path in SOURCES)
    found = re.findall(r"\b(?:trt|_?module)\.([A-Za-z]\w+(?:\.[A-Z_]+\b)?)", text)
    return {name for name in found if not name.startswith(("bindings", "split"))}


def test_the_list_of_names_is_of_names_that_are_used() -> None:
    text = "\n".join(path.read_text() for path in SOURCES)
    for names in USED.values():
        for name in names.split():
            assert re.search(rf"\b{name}\b", text), name
    assert {"OnnxParser", "BuilderFlag.VERSION_COMPATIBLE"} <= names_of_the_module()
