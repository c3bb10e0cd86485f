"""What an export says of the file that it wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from yolact.export.summary import describe_onnx


@pytest.mark.parametrize(
    ("opset", "says"),
    [
        (17, None),
        (20, None),
        (21, "opset 21 needs ONNX Runtime 1.18 or later; a file with --opset 20 or lower also runs in 1.17"),
        (22, "opset 22 needs ONNX Runtime 1.21 or later; a file with --opset 20 or lower also runs in 1.17"),
        (23, "opset 23 needs ONNX Runtime 1.23 or later; a file with --opset 20 or lower also runs in 1.17"),
        (26, "opset 26 needs an ONNX Runtime that knows it; a file with --opset 20 or lower also runs in 1.17"),
    ],
)
def test_which_runtimes_take_the_opset(opset: int, says: str | None, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(bytes(1000))
    model = helper.make_model(helper.make_graph([], "a", [], []), opset_imports=[helper.make_opsetid("", opset)])
    first, *more = describe_onnx(model, tmp_path / "a.onnx", 1)
    assert f"opset {opset}, batch 1" in first
    assert more == ([] if says is None else [says])


def test_no_lower_opset_is_advised_for_bf16(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(bytes(1000))
    weight = helper.make_tensor("weight", TensorProto.BFLOAT16, [1], [1.0])
    graph = helper.make_graph([], "a", [], [], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)])
    assert list(describe_onnx(model, tmp_path / "a.onnx", 1))[1:] == ["opset 22 needs ONNX Runtime 1.21 or later"]
