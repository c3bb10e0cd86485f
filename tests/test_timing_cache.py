"""Timing caches: keyed by content, version and GPU, and surviving from build to build.

TensorRT for RTX times nothing and only stores an empty cache, which is enough to see files come and go.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from yolact.engines.timing_cache import TimingCache, cache_key, default_folder
from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.errors import YolactError
from yolact.runtime.tensorrt_flavour import TENSORRT, TENSORRT_RTX, TensorRt, Version, load_flavour

trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed (Linux x86-64: the rtx extra)")
pytestmark = pytest.mark.filterwarnings("ignore:Use Deprecated in TensorRT-RTX:DeprecationWarning")

LOGGER = trt.Logger(trt.Logger.ERROR)
BUILDER = trt.Builder(LOGGER)
HERE = load_flavour(TENSORRT_RTX)


def parse(proto: onnx.ModelProto) -> Any:
    network = BUILDER.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    assert trt.OnnxParser(network, LOGGER).parse(proto.SerializeToString())
    return network


def test_keys(tiny_engine: Path, tiny_config: ModelConfig, tmp_path: Path, export_seeded: Callable[..., Path]) -> None:
    proto = onnx.load(tiny_engine)
    key = cache_key(parse(proto), HERE, "A100 sm_80")
    assert key == cache_key(parse(proto), HERE, "A100 sm_80")

    retrained = onnx.load(tiny_engine)
    weight = next(t for t in retrained.graph.initializer if t.name == "backbone.conv1.weight")
    weight.CopyFrom(onnx.numpy_helper.from_array(2 * onnx.numpy_helper.to_array(weight), weight.name))
    assert key == cache_key(parse(retrained), HERE, "A100 sm_80")  # kernels take as long with other weights

    larger = export_seeded(tiny_config, tmp_path / "larger.onnx", PostprocessConfig(max_detections=21))
    others = [
        cache_key(parse(proto), HERE, "A100 sm_86"),
        cache_key(parse(proto), TensorRt(TENSORRT_RTX, trt, Version(1, 7, 2)), "A100 sm_80"),
        cache_key(parse(proto), TensorRt(TENSORRT, trt, HERE.version), "A100 sm_80"),
        cache_key(parse(onnx.load(larger)), HERE, "A100 sm_80"),
    ]
    assert len({key, *others}) == 5


def test_a_cache_is_stored_and_loaded(tmp_path: Path) -> None:
    cache = TimingCache(tmp_path / "new" / "folder", "abc")
    config = BUILDER.create_builder_config()
    cache.load_into(config)  # nothing there yet
    cache.store_from(config)
    assert [path.name for path in cache.path.parent.iterdir()] == ["abc.timing"]
    stored = np.fromfile(cache.path, np.uint8)
    again = BUILDER.create_builder_config()
    cache.load_into(again)
    assert len(stored) and bytes(again.get_timing_cache().serialize()) == stored.tobytes()


class RefusingConfig:
    """TensorRT's answers to a file of another version or device; TensorRT for RTX takes anything."""

    def __init__(self, cache: object | None) -> None:
        self.cache = cache

    def create_timing_cache(self, data: bytes) -> object | None:
        assert data == b"not a timing cache at all"
        return self.cache

    def set_timing_cache(self, cache: object, ignore_mismatch: bool) -> bool:
        return ignore_mismatch


@pytest.mark.parametrize("cache", [None, object()])
def test_a_cache_that_is_refused_is_named(tmp_path: Path, cache: object | None) -> None:
    timing = TimingCache(tmp_path, "abc")
    timing.path.write_bytes(b"not a timing cache at all")
    with pytest.raises(YolactError, match=r"does not accept the timing cache .*abc\.timing; delete it"):
        timing.load_into(RefusingConfig(cache))


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    config = BUILDER.create_builder_config()
    cache = TimingCache(tmp_path / "file" / "folder", "abc")
    cache.load_into(config)
    with pytest.raises(YolactError, match=r"cannot write the timing cache .*--timing-cache none"):
        cache.store_from(config)


def test_the_folder_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_folder() == Path("/somewhere/yolact/timing")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_folder() == Path.home() / ".cache" / "yolact" / "timing"
