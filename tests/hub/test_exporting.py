"""Which export is made of weights: what makes it another one, and when it is a plan."""

from __future__ import annotations

from pathlib import Path

import pytest

import yolact
from yolact.hub.exporting import Export, plan_export
from yolact.runtime.cuda import gpu
from yolact.runtime.engine import DeviceChoice
from yolact.runtime.tensorrt.flavour import TENSORRT, TensorRt, Version

GPU = gpu.Gpu("NVIDIA Test", "sm_86", "13.0")
BUILDER = TensorRt(TENSORRT, None, Version(10, 14, 1))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "yolact_demo_1_2.pth"
    path.write_bytes(b"weights")
    return path


def test_what_makes_another_export(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [Export(weights, None, "").key, Export(weights, BUILDER, "a").key, Export(weights, BUILDER, "b").key]
    keys.append(Export(weights, BUILDER._replace(version=Version(10, 15)), "a").key)
    other = weights.with_name("yolact_im400_1_2.pth")  # another configuration by its name
    other.write_bytes(b"weights")
    keys.append(Export(other, None, "").key)
    weights.with_suffix(".json").write_text("{}")  # and by what lies beside it
    keys.append(Export(weights, None, "").key)
    weights.write_bytes(b"other weights")
    keys.append(Export(weights, None, "").key)
    monkeypatch.setattr(yolact, "__version__", "9.9")
    keys.append(Export(weights, None, "").key)
    assert len(set(keys)) == len(keys) == 8
    assert Export(weights, None, "").key == keys[-1]
    assert Export(weights, None, "").file_name == "yolact_demo_1_2.onnx"
    assert Export(weights, BUILDER, "a").file_name == "yolact_demo_1_2.plan"


def test_a_plan_only_where_it_can_be_built_and_run(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "find_gpu", lambda index=0: None)
    assert plan_export(weights, None) == Export(weights, None, "")
    monkeypatch.setattr(gpu, "find_gpu", lambda index=0: GPU if index == 1 else None)
    monkeypatch.setattr("yolact.engines.builder_choice.choose_builder", lambda _: BUILDER)
    assert plan_export(weights, None).tensorrt is None
    assert plan_export(weights, DeviceChoice("cuda", 1)) == Export(weights, BUILDER, "NVIDIA Test sm_86")
    monkeypatch.setattr(gpu, "find_gpu", lambda index=0: GPU)
    assert plan_export(weights, None).tensorrt == BUILDER
    assert plan_export(weights, None, only_onnx=True).tensorrt is None
    for kind in ("cpu", "tensorrt"):
        assert plan_export(weights, DeviceChoice(kind)).tensorrt is None  # type: ignore[arg-type]


def test_no_plan_without_a_builder(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from yolact.engines.builder_choice import BuilderMissing

    def missing(_: object) -> TensorRt:
        raise BuilderMissing("nothing builds")

    monkeypatch.setattr(gpu, "find_gpu", lambda index=0: GPU)
    monkeypatch.setattr("yolact.engines.builder_choice.choose_builder", missing)
    assert plan_export(weights, None).tensorrt is None
