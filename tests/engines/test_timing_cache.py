"""Timing caches: keyed by content, version and GPU, and surviving from build to build.

TensorRT for RTX times nothing and only stores an empty cache, which is enough to see files come and go.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import missing
import numpy as np
import onnx
import pytest

from yolact.engines.timing_cache import TimingCache, cache_key, default_folder
from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.tensorrt.flavour import TENSORRT, TENSORRT_RTX, TensorRt, Version, load_flavour

trt = pytest.importorskip("tensorrt_rtx", reason=missing.TENSORRT_RTX)
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
    weight = next(t for t in retrained.graph.initializer if t.name == "backbone.layers.0.0.weight")
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
    assert cache.load_into(config) is None  # nothing there yet
    assert cache.store_from(config) is None
    assert [path.name for path in cache.path.parent.iterdir()] == ["abc.timing"]
    stored = np.fromfile(cache.path, np.uint8)
    again = BUILDER.create_builder_config()
    cache.load_into(again)
    assert len(stored) and bytes(again.get_timing_cache().serialize()) == stored.tobytes()


class RefusingConfig:
    """TensorRT's answers to a file of another version or device; TensorRT for RTX takes anything."""

    def __init__(self, refused: object | None) -> None:
        self.refused = refused
        self.cache: object | None = None

    def create_timing_cache(self, data: bytes) -> object | None:
        return self.refused if data else "empty"

    def set_timing_cache(self, cache: object, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        self.cache = cache
        return cache == "empty"


@pytest.mark.parametrize("refused", [None, "of another GPU"])
def test_a_cache_that_is_refused_is_replaced(tmp_path: Path, refused: object | None) -> None:
    timing, config = TimingCache(tmp_path, "abc"), RefusingConfig(refused)
    timing.path.write_bytes(b"not a timing cache at all")
    sentence = timing.load_into(config)
    assert sentence is not None and f"did not accept the timing cache {timing.path}" in sentence
    assert config.cache == "empty"


def test_a_folder_that_cannot_be_made_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    config = BUILDER.create_builder_config()
    cache = TimingCache(tmp_path / "file" / "folder", "abc")
    assert cache.load_into(config) is None
    sentence = cache.store_from(config)
    assert sentence is not None and "cannot be written (Not a directory)" in sentence and "--timing-cache" in sentence


def test_what_cannot_be_read_or_replaced_is_no_failure(tmp_path: Path) -> None:
    folder, unreadable = TimingCache(tmp_path, "abc"), TimingCache(tmp_path, "xyz")
    folder.path.mkdir()
    assert "its name is taken" in str(folder.store_from(BUILDER.create_builder_config()))
    unreadable.path.symlink_to("/proc/self/mem")  # whose first byte nobody can read, root included
    config = RefusingConfig(None)
    if unreadable.path.is_file():
        assert f"{unreadable.path} cannot be read (Input/output error)" in str(unreadable.load_into(config))
        assert config.cache == "empty"


def test_the_folder_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_folder() == Path("/somewhere/yolact/timing")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_folder() == Path.home() / ".cache" / "yolact" / "timing"

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert default_folder() is None
