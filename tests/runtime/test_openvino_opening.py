"""Where OpenVINO, its device or a kept model is not as it should be."""

from __future__ import annotations

import hashlib
import importlib.abc
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

from yolact.runtime.detector import Detector
from yolact.runtime.engine import ComputePrecision, DeviceChoice
from yolact.runtime.errors import EngineError, UsageError
from yolact.runtime.openvino import compiling, library
from yolact.runtime.openvino.compiling import ModelRefused
from yolact.runtime.openvino.engine import OpenVinoEngine
from yolact.runtime.openvino.inlining import inlined


@pytest.fixture
def not_loaded() -> Iterator[None]:
    """OpenVINO as if nobody had asked for it yet; its own library can be loaded once a process."""
    library.core()
    library.load_openvino.cache_clear()
    yield
    library.load_openvino.cache_clear()


class Failing(importlib.abc.MetaPathFinder):
    """Lets an installed package fail while it loads."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "openvino":
            raise ImportError("libtbb.so.12: cannot open shared object file")


def fail_to_load(patch: pytest.MonkeyPatch) -> None:
    patch.delitem(sys.modules, "openvino")
    patch.setattr(sys, "meta_path", [Failing(), *sys.meta_path])


def have_version(version: str | None) -> Callable[[pytest.MonkeyPatch], None]:
    values = {} if version is None else {"__version__": version}
    return lambda patch: patch.setitem(sys.modules, "openvino", SimpleNamespace(**values))  # type: ignore[arg-type]


UNUSABLE: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "missing": (
        lambda patch: patch.setitem(sys.modules, "openvino", None),
        r"OpenVINO is not installed, which --device openvino needs; install it with: pip install .*\[openvino\]",
    ),
    "broken": (fail_to_load, r"OpenVINO does not load \(libtbb\.so\.12: cannot open .*\); install it with: .*openvino"),
    "too old": (
        have_version("2023.3.0-13775-ceeafaf64f3-releases/2023/3"),
        "needs OpenVINO 2024.6 or later, got 2023.3.0; update it with: pip install -U openvino",
    ),
    "ancient": (have_version(None), "needs OpenVINO 2024.6 or later, got an older one; update it"),
    "without onnx": (
        lambda patch: patch.setitem(sys.modules, "onnx", None),
        "onnx is not installed, which --device openvino needs; install it with: .*openvino",
    ),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_openvino_that_cannot_be_used(
    not_loaded: None, engine: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    change, message = UNUSABLE[name]
    change(monkeypatch)
    with pytest.raises(UsageError, match=message):
        Detector.open(engine, device="openvino")


def test_devices_that_are_not_here(engine: Path) -> None:
    for name in ("XPU", "GPU.7"):
        with pytest.raises(
            UsageError, match=rf"OpenVINO \S+ has no device {name} here, only CPU.*; give --device open"
        ):
            Detector.open(engine, device=f"openvino:{name}")


def test_the_first_of_several_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "core", lambda: SimpleNamespace(available_devices=["CPU", "GPU.0", "GPU.1"]))
    for name in ("CPU", "GPU", "GPU.1"):
        library.check_device(name)
    for name in ("GPU.2", "G", "NPU"):
        with pytest.raises(UsageError, match=r"only CPU, GPU\.0, GPU\.1;"):
            library.check_device(name)


def test_operators_that_openvino_lacks(engine: Path, tmp_path: Path) -> None:
    proto = onnx.load(engine)
    proto.graph.node[0].op_type = "Caste"
    onnx.save(proto, tmp_path / "other.onnx")
    with pytest.raises(
        EngineError, match=r"cannot be opened with --device openvino: .*Caste.*export it again"
    ) as caught:
        Detector.open(tmp_path / "other.onnx", device="openvino")
    assert "\n" not in str(caught.value) and "Exception from" not in str(caught.value)


def test_what_a_device_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, dict[str, Any]]] = []

    def compile_model(model: object, name: str, settings: dict[str, Any]) -> Any:
        told.append((name, settings))
        raise RuntimeError("Exception from src/core.cpp:1:\n\nno such network\n")

    fake = SimpleNamespace(
        read_model=lambda model: SimpleNamespace(inputs=[]),
        compile_model=compile_model,
        get_property=lambda name, key: "a device",
    )
    monkeypatch.setattr(compiling, "core", lambda: fake)
    latency = {"PERFORMANCE_HINT": "LATENCY"}
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    for device, threads, precision, expected in (
        ("CPU", None, "file", latency | exact | {"ENABLE_CPU_PINNING": False}),
        ("CPU", 3, "auto", latency | {"ENABLE_CPU_PINNING": False, "INFERENCE_NUM_THREADS": 3}),
        ("GPU.1", 3, "file", latency | exact),
        ("NPU", None, "auto", latency),
    ):
        with pytest.raises(ModelRefused, match=rf"OpenVINO \S+ refuses the model on {device} \(no such network\)"):
            compiling.compile_model(b"", 1, DeviceChoice("openvino", name=device), threads, precision)
        assert told.pop() == (device, expected)


# ---- models that are kept ----


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The cache folder. The CPU's models are kept as those of slower compilers are."""
    monkeypatch.setenv("YOLACT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(compiling, "is_kept", lambda device: True)
    return tmp_path / "cache" / "openvino"


def answer(path: Path) -> list[bytes]:
    images = np.random.default_rng(5).integers(0, 256, (2, 64, 64, 3), np.uint8)
    return [array.tobytes() for array in OpenVinoEngine(path, 1).run(images)]


def test_a_model_is_compiled_once(kept: Path, engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = answer(engine)
    (blob,) = kept.iterdir()
    assert kept.stat().st_mode & 0o077 == 0
    made_by = json.loads(blob.read_bytes().partition(b"\n")[0])
    assert made_by.keys() == {"software", "device", "sha256"} and made_by["software"] == library.software()
    monkeypatch.setattr(compiling, "_compile", lambda *_: pytest.fail("compiled again"))
    assert answer(engine) == expected
    (tmp_path / "elsewhere.onnx").write_bytes(engine.read_bytes())
    plain = inlined(onnx.load(engine))
    assert compiling._place(plain, 1, DeviceChoice("openvino"), "file") == blob
    assert answer(tmp_path / "elsewhere.onnx") == expected  # contents count, not names
    others: list[tuple[bytes, int, ComputePrecision]] = [
        (b"other weights", 1, "file"),
        (plain, 1, "auto"),
        (plain, 2, "file"),
    ]
    for weights, batch, precision in others:
        place = compiling._place(weights, batch, DeviceChoice("openvino"), precision)
        assert place is not None and not place.exists() and place.parent == kept


def of_another_version(blob: Path) -> None:
    header, _, compiled = blob.read_bytes().partition(b"\n")
    blob.write_bytes(header.replace(b"OpenVINO ", b"OpenVINO 1") + b"\n" + compiled)


def change_a_bit(blob: Path) -> None:
    data = bytearray(blob.read_bytes())
    data[-9] ^= 4
    blob.write_bytes(data)


DAMAGED: dict[str, Callable[[Path], object]] = {
    "of another version": of_another_version,
    "a changed bit": change_a_bit,
    "cut off": lambda blob: blob.write_bytes(blob.read_bytes()[:-100]),
    "empty": lambda blob: blob.write_bytes(b""),
    "something else": lambda blob: blob.write_bytes(b"GIF89a\n" * 50),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_kept_model_that_is_of_no_use_is_replaced(kept: Path, engine: Path, name: str) -> None:
    expected = answer(engine)
    (blob,) = kept.iterdir()
    whole = blob.read_bytes()
    DAMAGED[name](blob)
    assert blob.read_bytes() != whole
    assert answer(engine) == expected
    assert [*kept.iterdir()] == [blob]
    header, _, compiled = blob.read_bytes().partition(b"\n")
    made_by = json.loads(header)
    assert made_by["software"] == library.software()
    assert made_by["sha256"] == hashlib.sha256(compiled).hexdigest()


def test_a_kept_model_that_the_device_refuses(kept: Path, engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an update of its driver."""
    expected = answer(engine)
    (blob,) = kept.iterdir()
    header, _, _ = blob.read_bytes().partition(b"\n")
    made_by = {key: value for key, value in json.loads(header).items() if key != "sha256"}
    compiling.keep(blob, made_by, b"what no version understands")
    assert answer(engine) == expected
    assert b"what no version" not in blob.read_bytes()


def test_without_a_place_to_keep_models(kept: Path, engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.parent.write_text("a file")
    expected = answer(engine)
    kept.parent.unlink()
    kept.mkdir(parents=True)
    monkeypatch.setattr(compiling, "_exported", lambda compiled: (_ for _ in ()).throw(RuntimeError("not this device")))
    assert answer(engine) == expected and not [*kept.iterdir()]
    monkeypatch.setattr(compiling, "cache_folder", lambda subject: None)
    assert answer(engine) == expected


def test_models_for_the_cpu_are_not_kept(engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLACT_CACHE", str(tmp_path / "cache"))
    answer(engine)
    assert not (tmp_path / "cache").exists()
    assert compiling.is_kept(DeviceChoice("openvino", name="GPU.1"))
