"""What the report of yolact-sensitivity proposes."""

from __future__ import annotations

import onnx
import pytest
from sensitive_network import LIMITS, SMALL

from yolact.calib.quantization_points import QuantizationPoints
from yolact.calib.sensitivity.ranking import Int8Selection, Part, PartCost, Proposal
from yolact.calib.sensitivity.report import Report
from yolact.runtime.metadata import ModelMetadata

METADATA = ModelMetadata("full", SMALL, LIMITS, "", "0")


WHOLE_MODULES = {
    "one of two": (("backbone", "protonet"), (), ("backbone",), "--int8-modules protonet"),
    "by its prefix": (("fpn", "protonet"), (), ("proto_net",), "--int8-modules fpn"),
    "the user's": (
        ("backbone", "fpn"),
        ("fpn",),
        ("backbone.layers.1",),
        "--int8-modules backbone --exclude backbone.l",
    ),
}


@pytest.mark.parametrize("name", WHOLE_MODULES)
def test_a_module_is_never_named_and_excluded(name: str) -> None:
    modules, given, proposed, expected = WHOLE_MODULES[name]
    none = QuantizationPoints((), ())
    proposal = Proposal(1.0, 2.0, (Part("x", proposed, none, True),), 0.5, 3)
    selection = Int8Selection(onnx.ModelProto(), modules, given, "tensorrt")
    report = Report(
        METADATA,
        selection,
        "modules",
        "m",
        "b",
        2,
        [PartCost(Part("x", (), none, True), 1)],
        proposal,
    )
    *_, command = report.lines("--max-distance", ())
    assert expected in command and all(
        f"--exclude {word} " not in f"{command} " for word in ("backbone", "fpn", "proto_net")
    )
