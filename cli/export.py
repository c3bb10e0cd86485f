"""The command `yolact-export`: a PyTorch checkpoint to an engine file."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from yolact.calib.options import require_data
from yolact.cli.command import command, command_line, note, require_packages, say, warn
from yolact.cli.options.accuracy_gate import gate_options
from yolact.cli.options.builder import builder_options
from yolact.cli.options.common import config_option, max_pixels_option
from yolact.cli.options.int8 import check_cache_output, int8_options, read_calibration_images
from yolact.cli.options.named import WEIGHTS
from yolact.cli.options.postprocess import postprocess_options
from yolact.cli.options.values import FILE, OUTPUT_FILE
from yolact.engines.plan_output import check_plan_output, write_plan
from yolact.export.checkpoint_inputs import load_model, read_check_images
from yolact.export.destination import Destination, choose_destination
from yolact.export.int8 import check_opset, choose_arithmetic
from yolact.export.summary import describe_onnx
from yolact.runtime.errors import UsageError
from yolact.runtime.file_digest import sha256_of
from yolact.runtime.output_files import check_output, write_output

if TYPE_CHECKING:
    import onnx

    from yolact.calib.options import Int8Request
    from yolact.calib.quantization_points import Platform
    from yolact.engines.build_options import BuildRequest
    from yolact.export.accuracy_gate import GateRequest
    from yolact.runtime.config import PostprocessConfig
    from yolact.runtime.metadata import Precision


def _parse_batch(context: click.Context, parameter: click.Parameter, value: str) -> int | None:
    """A positive number, or None where the batch stays open."""
    if value == "dynamic":
        return None
    if not value.isdecimal() or int(value) == 0:
        raise click.BadParameter(f"expected a positive number or 'dynamic', got {value!r}")
    return int(value)


@command("yolact-export")
@click.option(
    "--weights",
    metavar="FILE|NAME",
    type=WEIGHTS,
    required=True,
    help="Checkpoint (.pth), or owner/name on Hugging Face.",
)
@config_option()
@click.option(
    "--output",
    metavar="FILE",
    type=OUTPUT_FILE,
    help="File to write: .onnx, or .plan for a TensorRT plan.  [default: yolact.onnx; yolact.plan with half precision "
    "or an option of the builder]",
)
@click.option("--fp16", is_flag=True, help="Network in half precision; post-processing stays in float32.")
@click.option("--bf16", is_flag=True, help="Network in bfloat16, whose range is wider; for Ampere and later.")
@click.option("--int8", is_flag=True, help="Parts of the network in INT8, calibrated on --calib-data.")
@click.option(
    "--graph",
    type=click.Choice(["full", "raw"]),
    default="full",
    help="Outputs of the file: detections (full), or the network's heads (raw).",
)
@click.option(
    "--functions",
    "function_mode",
    type=click.Choice(["keep", "strip", "inline"]),
    default="keep",
    help="Bodies of the functions YolactFastNms and YolactMaskAssembly: keep them, strip them for TensorRT before 10.7 "
    "with the plugins, or inline them for TensorRT 8.5 and 8.6.",
)
@click.option("--batch", metavar="N|dynamic", callback=_parse_batch, default="dynamic", help="Images per run.")
@click.option("--imgsz", type=int, help="Side of the network input in pixels.  [default: the configuration's]")
@click.option("--class-names", metavar="FILE", type=FILE, help="Text file with one class name per line.")
@postprocess_options
@click.option("--opset", type=int, help="ONNX opset, 17 or later.  [default: 17, for bf16 22]")
@click.option(
    "--check-image",
    "check_images",
    multiple=True,
    metavar="FILE",
    type=FILE,
    help="Photo to compare the export with PyTorch on; may be repeated.  [default: a made-up scene]",
)
@gate_options
@builder_options
@int8_options
@max_pixels_option()
def main(
    weights: Path,
    config_name: str | None,
    output: Path | None,
    fp16: bool,
    bf16: bool,
    int8: bool,
    function_mode: Any,
    graph: Any,
    batch: int | None,
    imgsz: int | None,
    class_names: Path | None,
    postprocess: PostprocessConfig,
    opset: int | None,
    check_images: tuple[Path, ...],
    gate: GateRequest | None,
    build: BuildRequest,
    quantization: Int8Request,
) -> None:
    """Export a YOLACT or YOLACT++ checkpoint to one ONNX file, or through it to a TensorRT plan. The export is checked
    against PyTorch before it is written.

    INT8 is calibrated on a folder of typical images. For TensorRT, the backbone and Protonet are quantised and the rest
    is in fp16; for a CPU, the whole network is quantised.

    Configurations: yolact_base, yolact_resnet50, yolact_darknet53, yolact_im400, yolact_im700, yolact_resnet50_pascal,
    yolact_plus_base, yolact_plus_resnet50, yolact_edge, yolact_edge_resnet50, yolact_edge_mobilenetv2,
    yolact_edge_youtubevis, yolact_edge_youtubevis_resnet50, yolact_demo.

    Exit codes: 0 done, 1 an input, the build or the output failed, 2 wrong usage, 3 the export differs from PyTorch,
    loses more accuracy than allowed or is not in the precision asked for, 4 ONNX Runtime or TensorRT cannot take it,
    130 interrupted.
    """
    precision = _precision(fp16, bf16)
    destination = choose_destination(output, build, half=precision != "fp32" or int8)
    int8_platform, precision, opset = _arithmetic(int8, quantization, precision, destination, opset)
    if destination.tensorrt is not None and function_mode != "keep":
        raise UsageError("--functions is for ONNX files; give --output a name that ends in .onnx")
    if destination.tensorrt is not None and batch is not None:
        build.options.for_fixed_batch(batch)  # refused here rather than after the export
    require_packages("exporting", "export", "onnx", "torch")
    from yolact.export.pipeline import ExportPipeline

    inputs = [weights, class_names, *check_images, quantization.data]
    inputs += [] if gate is None else [gate.annotations, gate.images]
    _check_outputs(destination, quantization.options.cache, inputs)
    images = read_check_images(check_images)
    calibration = read_calibration_images(quantization, warn) if int8 else None
    model = load_model(weights, config_name, class_names, imgsz)
    pipeline = ExportPipeline(
        model, postprocess, sha256_of(weights), graph, function_mode, batch, opset, precision, int8_platform
    )
    proto = pipeline.run(images, gate, quantization, calibration, say, note)
    _write(proto, destination, build, batch, precision)


def _precision(fp16: bool, bf16: bool) -> Precision:
    if fp16 and bf16:
        raise UsageError("--fp16 and --bf16 exclude each other; choose one")
    return "fp16" if fp16 else "bf16" if bf16 else "fp32"


def _arithmetic(
    int8: bool, quantization: Int8Request, precision: Precision, destination: Destination, opset: int | None
) -> tuple[Platform | None, Precision, int | None]:
    """The platform of INT8 (None without INT8), the precision of the rest, and the opset."""
    if not int8:
        if quantization.given:
            raise UsageError(f"{quantization.given[0]} is for --int8")
        return None, precision, opset
    require_data(quantization)
    platform, precision = choose_arithmetic(quantization, precision, destination)
    return platform, precision, check_opset(opset, precision)


def _check_outputs(destination: Destination, cache: Path | None, inputs: list[Path | None]) -> None:
    """Fail before the export rather than after it."""
    check_cache_output(cache, inputs)
    check = check_plan_output if destination.tensorrt is not None else functools.partial(check_output, "--output")
    check(destination.path, [*inputs, cache])


def _write(
    proto: onnx.ModelProto, destination: Destination, build: BuildRequest, batch: int | None, precision: Precision
) -> None:
    if destination.note:
        say(destination.note)
    if destination.tensorrt is not None:
        from yolact.runtime.onnx.exported_model import parse_exported_model

        model = parse_exported_model(proto.SerializeToString(), "the exported model")
        write_plan(
            model, build.options, destination.tensorrt, destination.path, command=command_line(), say=say, note=note
        )
        return
    write_output(destination.path, proto.SerializeToString())
    for line in describe_onnx(proto, destination.path, batch):
        say(line)
    if precision == "bf16":
        say("bf16 does not run on ONNX Runtime's CPU provider; build a plan from it with yolact-build")


if __name__ == "__main__":
    main()
