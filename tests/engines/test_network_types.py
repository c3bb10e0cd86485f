"""Whether a precision was obtained, from what TensorRT's inspector prints of an engine.

The layers below are written by hand after the forms that TensorRT's documentation shows; that a real engine prints them
so takes a GPU to see.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from yolact.engines.network_types import check_precision, engine_types
from yolact.runtime.errors import AccuracyError


def layer(kind: str, *descriptions: str, field: str = "Format/Datatype") -> dict[str, Any]:
    """One layer with inputs so described."""
    tensors = [{"Name": f"t{i}", "Dimensions": [1, 8, 4, 4], field: text} for i, text in enumerate(descriptions)]
    return {
        "Name": kind,
        "LayerType": kind,
        "Inputs": tensors,
        "Outputs": [{"Name": "y", field: "Row major linear FP32"}],
    }


def inspected(*layers: Any) -> str:
    return json.dumps({"Layers": list(layers), "Bindings": ["images"]})


HALF_ROW = "Channel major FP16 format where channel % 8 == 0"
CASES = {
    "before 10: sentences": ([layer("CaskConvolution", HALF_ROW), layer("CaskConvolution", HALF_ROW)], {"HALF": 2}),
    "10: words": ([layer("CaskConvolution", "Half"), layer("conv", "Float", "Half")], {"HALF": 1, "FLOAT": 1}),
    "11: a field of its own": ([layer("CaskConvolution", "BFloat16", field="DataType")], {"BF16": 1}),
    "full precision": ([layer("CaskConvolution", "Row major linear FP32")], {"FLOAT": 1}),
    "other layers do not count": (
        [layer("Reformat", "Float"), layer("conv", "Half"), layer("kgen", "Float")],
        {"HALF": 1},
    ),
    "weights tell more than an input with a cast fused in": (
        [layer("CaskConvolution", "Row major linear FP32") | {"Weights": {"Type": "Half", "Count": 9}}],
        {"HALF": 1},
    ),
    "no convolution left": ([layer("kgen", "Half"), layer("gemm", "Half"), layer("kgen", "Float")], {}),
    "no input": ([{"Name": "c", "LayerType": "Convolution", "Inputs": []}, layer("conv", "Half")], {"HALF": 1}),
    "names only": (["conv1 + relu", "conv2"], {}),
}


@pytest.mark.parametrize("name", CASES)
def test_types_of_an_engine(name: str) -> None:
    layers, expected = CASES[name]
    assert engine_types(inspected(*layers)) == expected


@pytest.mark.parametrize(("asked", "obtained"), [("fp32", {"FLOAT": 3}), ("fp16", {"HALF": 1}), ("bf16", {"BF16": 2})])
def test_obtained(asked: Any, obtained: dict[str, int]) -> None:
    check_precision(asked, obtained)


@pytest.mark.parametrize(
    ("asked", "obtained", "found"),
    [
        ("fp16", {"HALF": 52, "FLOAT": 1}, "1 convolution in fp32"),
        ("fp16", {"BF16": 53}, "53 convolutions in bf16"),
        ("bf16", {"HALF": 53}, "53 convolutions in fp16"),
        ("fp32", {"HALF": 3, "FLOAT": 50}, "3 convolutions in fp16"),
    ],
)
def test_not_obtained(asked: Any, obtained: dict[str, int], found: str) -> None:
    with pytest.raises(AccuracyError, match=f"asked for {asked}, but TensorRT would run {found}; nothing") as caught:
        check_precision(asked, obtained)
    assert caught.value.exit_code == 3


def test_a_quantised_engine_has_to_compute_in_int8() -> None:
    check_precision("fp16", {"HALF": 40, "INT8": 2}, int8=True)
    check_precision("fp16", {}, int8=True)  # nothing is told
    with pytest.raises(AccuracyError, match="asked for INT8, but TensorRT would run none of 42 convolutions in INT8"):
        check_precision("fp16", {"HALF": 42}, int8=True)
    with pytest.raises(AccuracyError, match="would run 2 convolutions in fp32"):
        check_precision("fp16", {"INT8": 40, "FLOAT": 2}, int8=True)
    with pytest.raises(AccuracyError, match="would run 1 convolution in INT8"):
        check_precision("fp16", {"HALF": 40, "INT8": 1})
