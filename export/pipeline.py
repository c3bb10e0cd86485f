"""An export, from the model to a checked ONNX model in memory, in steps that are reported to the user."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import onnx

from yolact.calib.image_set import ImageSet
from yolact.calib.options import Int8Request
from yolact.calib.quantization_points import DEFAULT_MODULES, Platform, find_quantization_points
from yolact.export.accuracy_gate import check_accuracy
from yolact.export.int8 import FEW_IMAGES, quantize
from yolact.export.onnx_model import export_model, strip_functions
from yolact.export.summary import describe_gate, describe_int8, describe_verification
from yolact.export.verify import verify_model
from yolact.runtime.images.arrays import Image
from yolact.runtime.metadata import Graph, Precision
from yolact.runtime.wording import count_noun

if TYPE_CHECKING:
    from yolact.export.accuracy_gate import GateRequest
    from yolact.runtime.config import PostprocessConfig
    from yolact.runtime.wording import Say
    from yolact.training.data.ground_truth import GroundTruth
    from yolact.training.models.model import Yolact

FunctionMode = Literal["keep", "strip", "inline"]


@dataclass(frozen=True)
class ExportPipeline:
    """The steps of one export, from the model to a checked ONNX model.

    Attributes are those of `onnx_model.export_model`, and:
        functions: ``keep`` the functions' bodies, ``strip`` them, or ``inline`` them.
        int8_platform: the platform that INT8 is for, None for no INT8.
    """

    model: Yolact
    postprocess: PostprocessConfig
    weights_sha256: str
    graph: Graph
    functions: FunctionMode
    batch: int | None
    opset: int | None
    precision: Precision
    int8_platform: Platform | None

    def run(
        self,
        images: Sequence[Image],
        gate: GateRequest | None,
        int8: Int8Request,
        calibration: ImageSet | None,
        say: Say,
        note: Say,
    ) -> onnx.ModelProto:
        """Export, compare with PyTorch, quantise, and check the accuracy.

        Args:
            images: images to compare on.
            gate: the accuracy to keep, None for no such check.
            int8: how to quantise, used with `int8_platform`.
            calibration: images to calibrate on.
            say: gets the lines about each step.
            note: gets doubts about the calibration.

        Raises the errors of `export_model`, `verify_model`, `int8.quantize` and `check_accuracy`.
        """
        truth = None if gate is None else self._read_truth(gate, say)
        proto = self._export(self.precision)
        if self.int8_platform is not None:  # raises here, before the comparisons, where it does not fit
            find_quantization_points(
                proto, int8.modules or DEFAULT_MODULES[self.int8_platform], int8.exclude, self.int8_platform
            )
        found = verify_model(proto, self.model, self.postprocess, self.graph, images, self.batch, self.precision)
        _say_all(say, describe_verification(self.model.config, self.precision, found))
        if self.int8_platform is not None and calibration is not None:
            done = quantize(proto, self.model, self.postprocess, int8, self.int8_platform, calibration)
            found = verify_model(proto, self.model, self.postprocess, self.graph, images, self.batch, "int8")
            _say_all(say, describe_int8(done, self.precision, proto, found))
            if done.images < FEW_IMAGES:
                note(
                    f"{count_noun(done.images, 'calibration image')} may be too few for the ranges of other images; "
                    "some hundred typical ones are usual"
                )
        if gate is not None and truth is not None:
            result = check_accuracy(self._export("fp32"), proto, truth, gate.max_drop)
            say(describe_gate(result, gate.max_drop))
        if self.functions == "strip":
            strip_functions(proto)
        return proto

    def _export(self, precision: Precision) -> onnx.ModelProto:
        return export_model(
            self.model,
            self.postprocess,
            weights_sha256=self.weights_sha256,
            graph=self.graph,
            inline_functions=self.functions == "inline",
            batch=self.batch,
            opset=self.opset,
            precision=precision,
        )

    def _read_truth(self, gate: GateRequest, say: Say) -> GroundTruth:
        """The annotations of the gate, read first, so that a mistake in them is reported before the export."""
        from yolact.training.data.class_pairing import check_categories
        from yolact.training.data.ground_truth import read_ground_truth

        truth = read_ground_truth(gate.annotations, gate.images, gate.limit, gate.rules)
        _say_all(say, check_categories(self.model.config, truth).notes())
        return truth


def _say_all(say: Say, lines: Iterable[str]) -> None:
    for line in lines:
        say(line)
