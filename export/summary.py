"""The lines that an export prints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from yolact.runtime.wording import count_noun

if TYPE_CHECKING:
    import onnx

    from yolact.export.accuracy_gate import GateResult
    from yolact.export.verify import Verification
    from yolact.runtime.config import ModelConfig
    from yolact.runtime.metadata import Precision, Quantization

_HEADS = 4
"""Number of heads, whose differences come first in a verification."""


def describe_verification(config: ModelConfig, precision: Precision, found: Verification) -> Iterator[str]:
    """The differences between the export's outputs and PyTorch's."""
    measure = "largest difference" if precision == "fp32" else "relative root mean square of the difference"
    yield f"{config.name}: {config.num_classes} classes, {config.image_size}x{config.image_size} input, {precision}"
    yield f"heads in {precision}, {measure} from PyTorch in fp32:"
    for index, difference in enumerate(found.differences):
        if index == _HEADS:
            yield "detections, largest difference from NumPy post-processing of the same heads:"
        yield f"  {difference.output:<15} {difference.largest:.1e}"
    if precision != "fp32":
        yield _found_again(found, precision)


OPSETS_OF_ONNX_RUNTIME = {20: "1.17", 21: "1.18", 22: "1.21", 23: "1.23"}
"""The first ONNX Runtime that knows an opset; 1.17 is the oldest supported one. Files of every opset from 17 to 26 were
tried in 1.17.3, 1.18.1, 1.19.2, 1.20.1, 1.21.1, 1.22.1 and 1.23.2."""


def describe_onnx(proto: onnx.ModelProto, output: Path, batch: int | None) -> Iterator[str]:
    """The ONNX file that was written, and the versions of ONNX Runtime that it needs where the oldest cannot run it.

    A lower opset is advised where there is one; bf16 has none.
    """
    from onnx import TensorProto

    size = output.stat().st_size / 1e6
    opset = next(entry.version for entry in proto.opset_import if not entry.domain)
    yield f"wrote {output}: {size:.1f} MB, opset {opset}, batch {batch or 'dynamic'}"
    oldest = min(OPSETS_OF_ONNX_RUNTIME)
    if opset > oldest:
        version = OPSETS_OF_ONNX_RUNTIME.get(opset)
        runtime = f"ONNX Runtime {version} or later" if version else "an ONNX Runtime that knows it"
        in_bf16 = any(tensor.data_type == TensorProto.BFLOAT16 for tensor in proto.graph.initializer)
        lower = f"; a file with --opset {oldest} or lower also runs in {OPSETS_OF_ONNX_RUNTIME[oldest]}"
        yield f"opset {opset} needs {runtime}{'' if in_bf16 else lower}"


def describe_int8(
    done: Quantization, precision: Precision, proto: onnx.ModelProto, found: Verification
) -> Iterator[str]:
    """The quantised part of the network, and the differences between the heads and PyTorch's."""
    convolutions = [node for node in proto.graph.node if node.op_type == "Conv"]
    rounded = sum(node.input[1].endswith(".dequantized") for node in convolutions)
    where = ", ".join(done.modules)
    if done.exclude:
        where += f" without {count_noun(len(done.exclude), 'exclusion')}"
    yield (
        f"INT8 for {done.platform}: {rounded} of {len(convolutions)} convolutions ({where}), the rest in {precision}; "
        f"{done.algorithm} ranges of {count_noun(done.images, 'image')}"
    )
    yield "heads in INT8, relative root mean square of the difference from PyTorch in fp32:"
    for difference in found.differences[:_HEADS]:
        yield f"  {difference.output:<15} {difference.largest:.1e}"
    yield _found_again(found, "INT8")


def describe_gate(result: GateResult, max_drop: float) -> str:
    """The accuracy in float32 and of the export, and how large a loss is allowed."""
    before, after = result.before, result.after
    points = f"{abs(result.drop):.2f}"
    change = "no change" if points == "0.00" else f"a {'loss' if result.drop > 0 else 'gain'} of {points} points"
    return (
        f"mask {result.ap_words} on {count_noun(result.images, 'image')}: {before.mask:.2f} in fp32 and "
        f"{after.mask:.2f} as exported, {change}, where a loss of {max_drop:g} points is allowed; "
        f"box AP: {before.box:.2f} and {after.box:.2f}"
    )


def _found_again(found: Verification, arithmetic: str) -> str:
    from yolact.export.comparison import CONFIDENT_SCORE

    again, confident = found.found_again, found.confident
    return f"{again} of {confident} detections that score above {CONFIDENT_SCORE} in fp32 found again in {arithmetic}"
