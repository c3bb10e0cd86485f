"""What ONNX Runtime is told for a GPU, on a machine without one, and outputs that it writes where they are wanted.

`InferenceSession` is replaced where it would open a file on a GPU; the CPU's sessions are real.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.detector import Detector
from yolact.runtime.engine import DeviceChoice
from yolact.runtime.errors import EngineError, UsageError
from yolact.runtime.onnx import providers
from yolact.runtime.onnx.engine import OnnxEngine
from yolact.runtime.onnx.session import open_session, run_into, run_session

GPU_PROVIDERS = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
Opened = list[tuple[list[tuple[str, dict[str, str]]], int]]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Opened:
    """The providers with which sessions for a GPU were opened, each with the number of `preload_dlls` until then.

    They are the CPU's sessions, which say that they run on what was asked for.
    """
    found: Opened = []
    loads: list[None] = []
    real = onnxruntime.InferenceSession

    def open_(source: Any, options: Any, *, providers: list[tuple[str, dict[str, str]]], **more: Any) -> Any:
        one = real(source, options, providers=["CPUExecutionProvider"], **more)
        if len(providers) > 1:
            found.append((providers, len(loads)))
            one.get_providers = lambda: [name for name, _ in providers]
        return one

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: GPU_PROVIDERS)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: loads.append(None), raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    providers.load_libraries.cache_clear()
    return found


def test_the_cuda_provider(opened: Opened, tiny_engine: Path) -> None:
    engine = OnnxEngine(tiny_engine, device=DeviceChoice("cuda", 2))
    assert opened == [([("CUDAExecutionProvider", {"device_id": "2"}), ("CPUExecutionProvider", {})], 1)]
    assert (engine.min_batch, engine.max_batch) == (1, None)
    OnnxEngine(tiny_engine, device=DeviceChoice("cuda"))
    assert opened[1][1] == 1  # libraries are loaded once
    OnnxEngine(tiny_engine)
    assert len(opened) == 2


def tensorrt_options(opened: Opened, path: Path) -> tuple[OnnxEngine, dict[str, str]]:
    engine = OnnxEngine(path, device=DeviceChoice("tensorrt", 1))
    (given, _) = opened[-1]
    assert [name for name, _ in given] == GPU_PROVIDERS
    assert given[1:] == [("CUDAExecutionProvider", {"device_id": "1"}), ("CPUExecutionProvider", {})]
    return engine, given[0][1]


def test_the_tensorrt_provider_of_a_file_for_any_batch(
    opened: Opened, tiny_engine: Path, tiny_config: ModelConfig, tmp_path: Path
) -> None:
    engine, options = tensorrt_options(opened, tiny_engine)
    size = tiny_config.image_size
    engines = Path(options.pop("trt_engine_cache_path"))
    assert options == {
        "device_id": "1",
        "trt_fp16_enable": "0",
        "trt_int8_enable": "0",
        "trt_profile_min_shapes": f"images:1x{size}x{size}x3",
        "trt_profile_opt_shapes": f"images:8x{size}x{size}x3",
        "trt_profile_max_shapes": f"images:32x{size}x{size}x3",
        "trt_engine_cache_enable": "1",
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(tmp_path / "cache" / "yolact" / "onnxruntime" / "timing"),
    }
    assert engines.is_dir() and engines.parent == tmp_path / "cache" / "yolact" / "onnxruntime"
    assert engines.stat().st_mode & 0o077 == 0
    assert (engine.min_batch, engine.max_batch) == (1, 32)


def test_the_tensorrt_provider_of_a_file_for_one_batch(
    opened: Opened, tiny_config: ModelConfig, export_seeded: Callable[..., Path], tmp_path: Path
) -> None:
    path = export_seeded(tiny_config, tmp_path / "two.onnx", PostprocessConfig(), batch=2)
    engine, options = tensorrt_options(opened, path)
    assert not [name for name in options if "profile" in name]
    assert (engine.min_batch, engine.max_batch) == (2, 2)


def test_the_precision_of_the_file(
    opened: Opened, tiny_config: ModelConfig, export_seeded: Callable[..., Path], tmp_path: Path
) -> None:
    path = export_seeded(tiny_config, tmp_path / "half.onnx", PostprocessConfig(), precision="fp16")
    options = tensorrt_options(opened, path)[1]
    assert (options["trt_fp16_enable"], options["trt_int8_enable"]) == ("1", "0")
    proto = onnx.load(path)
    entry = proto.metadata_props.add()
    entry.key = "yolact.quantization"
    values = '"platform": "tensorrt", "modules": ["backbone"], "exclude": [], "algorithm": "minmax", "images": 3'
    entry.value = f'{{{values}, "images_sha256": "abc"}}'
    onnx.save(proto, tmp_path / "int8.onnx")
    options = tensorrt_options(opened, tmp_path / "int8.onnx")[1]
    assert (options["trt_fp16_enable"], options["trt_int8_enable"]) == ("1", "1")
    entry.value = entry.value.replace("tensorrt", "cpu")
    onnx.save(proto, tmp_path / "cpu.onnx")
    already = len(opened)
    with pytest.raises(EngineError, match="for ONNX Runtime on a CPU, in a form that TensorRT does not take; export"):
        Detector.open(tmp_path / "cpu.onnx", device="tensorrt")
    assert len(opened) == already
    Detector.open(tmp_path / "cpu.onnx", device="cuda").close()


def test_engines_of_other_weights_lie_elsewhere(opened: Opened, tiny_engine: Path, tmp_path: Path) -> None:
    """The same name and nodes: what the provider tells files apart by."""
    data = tiny_engine.read_bytes()
    found = []
    for folder, content in (
        ("a", data),
        ("b", data),
        ("c", data + onnx.ModelProto(doc_string="x").SerializeToString()),
    ):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "m.onnx"
        path.write_bytes(content)
        found.append(tensorrt_options(opened, path)[1]["trt_engine_cache_path"])
    assert found[0] == found[1] != found[2]


def test_without_a_place_for_caches(
    opened: Opened, tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file")
    assert not [name for name in tensorrt_options(opened, tiny_engine)[1] if "cache" in name]
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert not [name for name in tensorrt_options(opened, tiny_engine)[1] if "cache" in name]


def test_what_the_loading_of_libraries_says_is_in_the_error(
    opened: Opened, tiny_engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not on stdout, where results belong."""
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: print("Failed to load libcudnn.so.9"), raising=False)
    counterfeit = onnxruntime.InferenceSession

    def on_cpu(*given: Any, **more: Any) -> Any:
        one = counterfeit(*given, **more)
        one.get_providers = lambda: ["CPUExecutionProvider"]
        return one

    monkeypatch.setattr(onnxruntime, "InferenceSession", on_cpu)
    with pytest.raises(EngineError, match=r"fell back to CPU.*\(Failed to load libcudnn\.so\.9\); see"):
        open_session(tiny_engine, DeviceChoice("cuda"))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("missing", [True, False])
def test_an_older_onnx_runtime_and_a_failing_one(
    opened: Opened, tiny_engine: Path, monkeypatch: pytest.MonkeyPatch, missing: bool
) -> None:
    def fail() -> None:
        raise OSError("no such library")

    if missing:
        monkeypatch.delattr(onnxruntime, "preload_dlls")
    else:
        monkeypatch.setattr(onnxruntime, "preload_dlls", fail)
    assert providers.load_libraries() == ("" if missing else "no such library")
    open_session(tiny_engine, DeviceChoice("cuda"))


def test_the_provider_that_is_not_there(tiny_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    for kind in ("cuda", "tensorrt"):
        with pytest.raises(UsageError, match=r"has no \w+ExecutionProvider for .*, only CPUExecutionProvider"):
            open_session(tiny_engine, DeviceChoice.parse(kind))


@pytest.mark.parametrize("name", ["tiny_engine", "tiny_raw_engine"])
@pytest.mark.parametrize("batch", [1, 3])
def test_outputs_written_in_place_are_those_that_are_copied(
    request: pytest.FixtureRequest, name: str, batch: int
) -> None:
    """Of images that do not lie in one piece, too."""
    engine = OnnxEngine(request.getfixturevalue(name))
    size = engine.metadata.config.image_size
    images = np.random.default_rng(batch).integers(0, 256, (batch, size, size, 6), np.uint8)[..., ::2]
    one = open_session(request.getfixturevalue(name))
    names = [output.name for output in one.get_outputs()]
    expected = dict(zip(names, run_session(one, names, {"images": np.ascontiguousarray(images)}), strict=True))
    found = engine.run(images)
    assert len(found) == len(names)
    for array, output in zip(found, engine._outputs, strict=True):
        assert array.dtype == expected[output].dtype and (array.any() or output == "classes")
        np.testing.assert_array_equal(array, expected[output])
    again = engine.run(images[::-1])
    np.testing.assert_array_equal(found[0], expected[next(iter(engine._outputs))])  # no array is used twice
    assert not any(np.shares_memory(*pair) for pair in zip(found, again, strict=True))


def test_outputs_of_another_shape_are_refused(tiny_engine: Path) -> None:
    one = open_session(tiny_engine)
    size = one.get_inputs()[0].shape[1]
    images = np.zeros((2, size, size, 3), np.uint8)
    for array in (np.zeros((3, 1), np.int32), np.zeros((2, 1), np.float32)):
        with pytest.raises(EngineError, match=r"could not run a batch of shape \(2, .*\(.*\)"):
            run_into(one, {"num_detections": array}, images)
    with pytest.raises(EngineError, match="could not run"):
        run_into(one, {"num_detections": np.zeros((2, 1), np.int32)}, images.astype(np.float32))


@pytest.fixture
def allocated(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What was asked for in memory of a GPU, in whose place there is the host's."""
    asked: list[tuple[Any, ...]] = []
    real = onnxruntime.OrtValue.ortvalue_from_shape_and_type

    def allocate(shape: list[int], dtype: Any, *device: Any) -> Any:
        asked.append((*shape, dtype, *device))
        return real(shape, dtype, "cpu", 0)

    monkeypatch.setattr(onnxruntime.OrtValue, "ortvalue_from_shape_and_type", allocate)
    return asked


@pytest.mark.parametrize("kind", ["cuda", "tensorrt"])
def test_images_are_bound_in_memory_of_the_gpu_that_is_used_again(
    allocated: list[tuple[Any, ...]], tiny_engine: Path, kind: str
) -> None:
    engine, on_cpu = OnnxEngine(tiny_engine, device=DeviceChoice(kind, 1)), OnnxEngine(tiny_engine)
    size = engine.metadata.config.image_size
    rng = np.random.default_rng(4)
    for count in (2, 2, 1, 1, 2):
        images = rng.integers(0, 256, (count, size, size, 6), np.uint8)[..., ::2]
        kept = images.copy()
        for found, expected in zip(engine.run(images), on_cpu.run(images), strict=True):
            np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(images, kept)
    batch = (size, size, 3, np.dtype(np.uint8), "cuda", 1)
    assert allocated == [(2, *batch), (1, *batch), (2, *batch)]


def test_threads_have_memory_of_their_own_on_the_gpu(
    allocated: list[tuple[Any, ...]], tiny_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, on_cpu = OnnxEngine(tiny_engine, device=DeviceChoice("cuda")), OnnxEngine(tiny_engine)
    size = engine.metadata.config.image_size
    together, update = Barrier(2, timeout=20), onnxruntime.OrtValue.update_inplace

    def update_both(value: Any, images: Any) -> None:
        update(value, images)
        together.wait()  # both threads have uploaded theirs before one runs

    monkeypatch.setattr(onnxruntime.OrtValue, "update_inplace", update_both)
    work = [np.full((1, size, size, 3), shade, np.uint8) for shade in (40, 200)]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(3):
            for found, images in zip(pool.map(engine.run, work), work, strict=True):
                for one, other in zip(found, on_cpu.run(images), strict=True):
                    np.testing.assert_array_equal(one, other)
    assert len(allocated) == 2
    engine.close()


def test_memory_of_a_run_that_failed_is_not_used_again(
    allocated: list[tuple[Any, ...]], tiny_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = OnnxEngine(tiny_engine, device=DeviceChoice("cuda"))
    size = engine.metadata.config.image_size
    images = np.zeros((1, size, size, 3), np.uint8)
    with pytest.raises(EngineError, match=r"could not run a batch of shape \(1, "):
        engine.run(images.astype(np.float32))
    engine.run(images), engine.run(images)
    assert len(allocated) == 2

    def fail(*_: Any) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(onnxruntime.OrtValue, "ortvalue_from_shape_and_type", fail)
    with pytest.raises(EngineError, match=r"could not run a batch of shape \(2, .*\(out of memory\)"):
        engine.run(np.concatenate([images, images]))
