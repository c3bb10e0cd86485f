"""What an export says of the file that it wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import helper

from yolact.export.summary import describe_onnx


@pytest.mark.parametrize(
    ("opset", "says"),
    [
        (17, None),
        (20, None),
        (21, "opset 21 needs ONNX Runtime 1.18 or later; --opset 20 or lower runs in 1.17 too"),
        (22, "opset 22 needs ONNX Runtime 1.21 or later; --opset 20 or lower runs in 1.17 too"),
        (23, "opset 23 needs ONNX Runtime 1.23 or later; --opset 20 or lower runs in 1.17 too"),
        (26, "opset 26 needs an ONNX Runtime that knows it; --opset 20 or lower runs in 1.17 too"),
    ],
)
def test_which_runtimes_take_the_opset(opset: int, says: str | None, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(bytes(1000))
    model = helper.make_model(helper.make_graph([], "a", [], []), opset_imports=[helper.make_opsetid("", opset)])
    first, *more = describe_onnx(model, tmp_path / "a.onnx", 1)
    assert f"opset {opset}, batch 1" in first
    assert more == ([] if says is None else [says])
