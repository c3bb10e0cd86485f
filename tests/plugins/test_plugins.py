"""The plugins' own code, from attributes to `enqueue`, on this CPU, with TensorRT's part played by `host_plugins/`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import fast_nms_calls as nms
import mask_assembly_calls as mask_assembly
import numpy as np
import pytest
from element_types import EACH_TYPE
from host_kernel_build import PLUGINS, build_host_library
from plugin_calls import ATTRIBUTES, OUTPUTS, REFUSED, changed, inputs_of
from plugin_harness import HARNESS, Outcome, PluginHarness, Spec
from repository import ROOT

from yolact.export.functions import FAST_NMS, MASK_ASSEMBLY, fast_nms_attributes
from yolact.runtime.config import PostprocessConfig

LARGEST = 4


@pytest.fixture(scope="session")
def harness(host_kernels: Path, tmp_path_factory: pytest.TempPathFactory) -> PluginHarness:
    return PluginHarness(tmp_path_factory.mktemp("plugins"), host_kernels)


def rubbish(*shape: int, dtype: object = np.float32) -> np.ndarray:
    array = np.empty(shape, dtype)
    array.view(np.uint8)[...] = 0xCD
    return array


@EACH_TYPE
@pytest.mark.parametrize("batch", [1, 3, LARGEST])
@pytest.mark.parametrize("config", [PostprocessConfig(), PostprocessConfig(nms="cross-class", top_k=37)], ids=str)
def test_fast_nms(harness: PluginHarness, config: PostprocessConfig, batch: int, dtype: np.dtype) -> None:
    inputs = nms.make_inputs(batch, 258, 20, seed=batch, dtype=dtype)
    detections = config.max_detections
    outputs = {
        "num_detections": rubbish(batch, 1, dtype=np.int32),
        "boxes": rubbish(batch, detections, 4),
        "scores": rubbish(batch, detections),
        "classes": rubbish(batch, detections, dtype=np.int32),
        "detection_coefficients": rubbish(batch, detections, 5, dtype=dtype),
    }
    arrays = [inputs[name] for name in nms.INPUTS]
    outcome = harness.run(FAST_NMS, fast_nms_attributes(config), arrays, list(outputs.values()), LARGEST)
    assert (outcome.refused, outcome.messages) == ("", "")
    assert outcome.outputs == [Spec(array.dtype, (-1, *array.shape[1:])) for array in outputs.values()]
    assert min(nms.check(outputs, inputs, config)) > 0


@EACH_TYPE
@pytest.mark.parametrize("batch", [1, 3, LARGEST])
def test_mask_assembly(harness: PluginHarness, batch: int, dtype: np.dtype) -> None:
    inputs = mask_assembly.make_inputs(batch, 33, (17, 24), seed=batch, dtype=dtype)
    masks = rubbish(batch, 33, 17, 24)
    outcome = harness.run(MASK_ASSEMBLY, ATTRIBUTES[MASK_ASSEMBLY], list(inputs.values()), [masks], LARGEST)
    assert (outcome.refused, outcome.messages, outcome.workspace) == ("", "", 0)
    assert outcome.outputs == [Spec(masks.dtype, (-1, *masks.shape[1:]))]
    mask_assembly.check(masks, inputs)
    assert masks[0].any()


def test_every_attribute_reaches_the_kernels(harness: PluginHarness) -> None:
    """A change of any one of them, in the fields that a plan stores, changes what is detected."""
    inputs = nms.make_inputs(1, 258, 20, seed=5)

    def detections(**changes: float) -> bytes:
        attributes = {**fast_nms_attributes(PostprocessConfig(top_k=20, max_detections=30)), **changes}
        shapes = [(1, 1), (1, 30, 4), (1, 30), (1, 30), (1, 30, 5)]
        arrays = [np.zeros(shape, np.int32 if i in (0, 3) else np.float32) for i, shape in enumerate(shapes)]
        outcome = harness.run(FAST_NMS, attributes, [inputs[name] for name in nms.INPUTS], arrays, LARGEST)
        assert outcome.refused == ""
        return b"".join(array.tobytes() for array in arrays)

    usual = detections()
    assert detections() == usual
    changes = {"score_threshold": 0.9, "nms_threshold": 0.1, "top_k": 1, "cross_class": 1}
    for name, value in {**changes, "centre_variance": 0.3, "size_variance": 0.1}.items():
        assert detections(**{name: value}) != usual, name


def test_the_crop_padding_reaches_the_kernel(harness: PluginHarness) -> None:
    inputs = mask_assembly.make_inputs(1, 1, (20, 20), seed=0)
    inputs["boxes"][0, 0] = [0.4, 0.4, 0.6, 0.6]
    rows = []
    for padding in (0, 1, 3):
        masks = rubbish(1, 1, 20, 20)
        harness.run(MASK_ASSEMBLY, {"crop_padding": padding}, list(inputs.values()), [masks], 1)
        rows.append(np.flatnonzero(masks[0, 0].any(axis=1)).tolist())
    assert rows == [list(range(8, 12)), list(range(7, 13)), list(range(5, 15))]


@pytest.mark.parametrize("op", OUTPUTS)
def test_the_workspace_is_that_of_the_largest_batch(harness: PluginHarness, op: str) -> None:
    inputs = list(inputs_of(op).values())
    sizes = [harness.build(op, ATTRIBUTES[op], inputs, len(OUTPUTS[op]), largest).workspace for largest in (1, 4, 16)]
    assert sizes == [0, 0, 0] if op == MASK_ASSEMBLY else 0 < sizes[0] < sizes[1] < sizes[2]


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_to_build(harness: PluginHarness, name: str) -> None:
    refusal = REFUSED[name]
    attributes, inputs = changed(refusal)
    outcome = harness.build(refusal.op, attributes, list(inputs.values()), len(OUTPUTS[refusal.op]), LARGEST)
    assert outcome.refused == (refusal.call or "createPlugin")
    assert re.match(f"{refusal.op}: .*{refusal.sentence}", outcome.messages)
    assert outcome.messages.count("\n") == 1


def test_refuses_more_or_fewer_inputs(harness: PluginHarness) -> None:
    inputs = list(inputs_of(MASK_ASSEMBLY).values())
    for given in (inputs[:3], [*inputs, inputs[0]]):
        outcome = harness.build(MASK_ASSEMBLY, ATTRIBUTES[MASK_ASSEMBLY], given, 1, LARGEST)
        assert outcome.messages == f"YolactMaskAssembly: takes 4 inputs, but there are {len(given)}\n"


def test_refuses_a_profile_beyond_the_limits(harness: PluginHarness) -> None:
    """Only the largest batch of the optimization profile tells."""
    inputs = list(inputs_of(FAST_NMS).values())
    outcome = harness.build(FAST_NMS, ATTRIBUTES[FAST_NMS], inputs, 5, 65536)
    assert outcome.refused == "configurePlugin"
    assert outcome.messages == "YolactFastNms: batch must be 0 to 65535, got 65536\n"


def test_refuses_inputs_of_different_batches(harness: PluginHarness) -> None:
    inputs = {**inputs_of(MASK_ASSEMBLY), "boxes": Spec(np.dtype(np.float32), (3, 20, 4))}
    outcome = harness.build(MASK_ASSEMBLY, ATTRIBUTES[MASK_ASSEMBLY], list(inputs.values()), 1, LARGEST)
    assert outcome.refused == "configurePlugin"
    assert "dimension 0 of boxes (B, D, 4) is 3, but B is 4 in prototypes" in outcome.messages


LAUNCH_ERRORS = {
    209: "has no code for this GPU .*yolact-build-plugins --arch sm_86$",  # cudaErrorNoKernelImageForDevice
    98: "has no code for this GPU .*yolact-build-plugins --arch sm_86$",  # cudaErrorInvalidDeviceFunction
    222: "has no code for this GPU .*yolact-build-plugins --arch sm_86$",  # cudaErrorUnsupportedPtxVersion
    35: r"was built with CUDA \d+\.\d, for which the GPU's driver is too old; update the driver.*yolact-build-plugins",
    719: "^Op: its kernels could not be launched: an error",
}


@pytest.mark.parametrize("status", LAUNCH_ERRORS)
def test_launches_that_fail(harness: PluginHarness, status: int) -> None:
    message = harness.launch_error(status)
    assert message.startswith("Op: ") and message.count("\n") == 1
    assert re.search(LAUNCH_ERRORS[status], message.rstrip())
    assert harness.launch_error(0) == ""


def refused_in(harness: PluginHarness, version: int) -> Outcome:
    """What comes of a plugin without inputs in this release of TensorRT."""
    harness.play_release(version)
    try:
        return harness.build(MASK_ASSEMBLY, ATTRIBUTES[MASK_ASSEMBLY], [], 1, LARGEST)
    finally:
        harness.play_release(100300)


@pytest.mark.parametrize("version", [100000, 100300, 101600, 110100, 10700])
def test_loggers_of_each_release(harness: PluginHarness, version: int) -> None:
    outcome = refused_in(harness, version)
    assert outcome.messages == "YolactMaskAssembly: takes 4 inputs, but there are 0\n"


@pytest.mark.parametrize("version", [0, 80600, 90300, 120000])
def test_an_unknown_release_is_told_nothing(harness: PluginHarness, version: int) -> None:
    """Its logger may be of any class."""
    outcome = refused_in(harness, version)
    assert (outcome.refused, outcome.messages) == ("getOutputDataTypes or getOutputShapes", "")


@pytest.fixture(scope="session")
def registering(host_kernels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that registers its plugins when it is loaded, for this CPU."""
    sources = [*PLUGINS.glob("*/*_plugin.cpp"), *PLUGINS.glob("tensorrt/*.cpp")]
    library = tmp_path_factory.mktemp("registering") / "libregistering.so"
    return build_host_library(library, sources, [host_kernels, f"-Wl,-rpath,{host_kernels.parent}"])


PLAYED = {
    "libnvinfer.so.10": (100300, 12, []),
    "libnvinfer_lean.so.10": (101600, 12, []),
    "libnvinfer.so.11": (110100, 8, ["-DBASE"]),
    "libtensorrt_rtx.so.1": (10700, 8, ["-DBASE"]),
}


@pytest.mark.parametrize("name", PLAYED)
def test_registers_with_the_tensorrt_in_the_process(registering: Path, tmp_path: Path, name: str) -> None:
    """And asks it for its logger when there is something to say: while it is loaded there is none yet."""
    version, before, options = PLAYED[name]
    options = [*options, f"-DBEFORE={before}", f"-DVERSION={version}", f"-Wl,-soname,{name}"]
    build_host_library(tmp_path / name, [HARNESS.parent / "played_tensorrt.cpp"], options)
    program = f"""
import ctypes
tensorrt = ctypes.CDLL({str(tmp_path / name)!r})
tensorrt.played_names.restype = tensorrt.played_logged.restype = ctypes.c_char_p
ctypes.CDLL({str(registering)!r})
print(tensorrt.played_names().decode())
print(tensorrt.played_create(), tensorrt.played_logged())
tensorrt.played_make_object()
print(tensorrt.played_create(), tensorrt.played_logged())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    names, silent, told = done.stdout.splitlines()
    assert names.split() == ["yolact.YolactFastNms", "yolact.YolactMaskAssembly"]
    assert silent == "0 b''"
    assert re.match(r"0 b'1 YolactFastNms: the attribute \w+ is missing; export the model again", told)


def test_every_op_with_a_plugin_is_here() -> None:
    folder = ROOT / "plugins"
    assert {path.name for path in folder.glob("*/*_plugin.cpp")} == {"fast_nms_plugin.cpp", "mask_assembly_plugin.cpp"}
