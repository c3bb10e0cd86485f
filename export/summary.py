"""What an export prints about itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from yolact.export.int8 import FEW_IMAGES
from yolact.runtime.contract import HEADS
from yolact.runtime.wording import count_noun

if TYPE_CHECKING:
    import onnx

    from yolact.export.accuracy_gate import GateResult
    from yolact.export.verify import Verification
    from yolact.runtime.config import ModelConfig
    from yolact.runtime.metadata import Precision, Quantization


def print_verification(config: ModelConfig, precision: Precision, verification: Verification) -> None:
    measure = "largest difference" if precision == "fp32" else "relative root mean square of the difference"
    click.echo(
        f"{config.name}: {config.num_classes} classes, {config.image_size}x{config.image_size} input, {precision}"
    )
    click.echo(f"heads, {measure} from PyTorch:")
    for index, difference in enumerate(verification.differences):
        if index == len(HEADS):
            click.echo("detections, largest difference from NumPy post-processing of the same heads:")
        click.echo(f"  {difference.output:<15} {difference.largest:.1e}")
    if precision != "fp32":
        _print_found_again(verification, precision)


def print_onnx(proto: onnx.ModelProto, output: Path, batch: int | None) -> None:
    size = output.stat().st_size / 1e6
    opset = next(entry.version for entry in proto.opset_import if not entry.domain)
    click.echo(click.format_filename(f"wrote {output}: {size:.1f} MB, opset {opset}, batch {batch or 'dynamic'}"))


def print_int8(done: Quantization, precision: Precision, proto: onnx.ModelProto, verification: Verification) -> None:
    """What was quantised, and how far the heads are from PyTorch's now."""
    convolutions = [node for node in proto.graph.node if node.op_type == "Conv"]
    rounded = sum(node.input[1].endswith(".dequantized") for node in convolutions)
    where = ", ".join(done.modules)
    if done.exclude:
        where += f" without {count_noun(len(done.exclude), 'exclusion')}"
    click.echo(
        f"int8 for {done.platform}: {rounded} of {len(convolutions)} convolutions ({where}), the rest {precision}; "
        f"{done.algorithm} ranges of {count_noun(done.images, 'image')}"
    )
    if done.images < FEW_IMAGES:
        click.echo("that is few: ranges may not fit other images; some hundred typical ones are usual", err=True)
    click.echo("heads, relative root mean square of the difference from PyTorch:")
    for difference in verification.differences[: len(HEADS)]:
        click.echo(f"  {difference.output:<15} {difference.largest:.1e}")
    _print_found_again(verification, "int8")


def print_gate(result: GateResult, max_drop: float) -> None:
    """Accuracy before and after."""
    before, after = result.before, result.after
    change = f"{abs(result.drop):.2f} points {'lost' if result.drop > 0 else 'gained'}"
    click.echo(
        f"mask AP on {count_noun(result.images, 'image')}: {before.mask:.2f} in fp32, {after.mask:.2f} as exported, "
        f"{change}, {max_drop:g} may be lost; box AP {before.box:.2f} and {after.box:.2f}"
    )


def _print_found_again(verification: Verification, arithmetic: str) -> None:
    from yolact.export.comparison import TELLING_SCORE

    again, telling = verification.found_again, verification.telling
    click.echo(f"{again} of {telling} detections that score above {TELLING_SCORE} in fp32 found again in {arithmetic}")
