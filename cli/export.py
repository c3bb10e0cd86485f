"""`yolact-export`: a PyTorch checkpoint to an engine file."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from yolact import __version__
from yolact.calib.options import Int8Request, require_data
from yolact.cli.build import check_plan_output, command_line, describe_plan
from yolact.cli.build_options import builder_options
from yolact.cli.command import reports_errors
from yolact.cli.int8_options import int8_options
from yolact.engines.build_options import BuildRequest
from yolact.export.accuracy_gate import GateRequest
from yolact.export.checkpoint_inputs import load_model, read_check_images, sha256_of
from yolact.export.destination import Destination, choose_destination
from yolact.export.int8 import check_opset, choose_arithmetic
from yolact.export.summary import print_onnx
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.errors import UsageError, YolactError
from yolact.runtime.output_files import check_output, write_output

if TYPE_CHECKING:
    import onnx

    from yolact.runtime.metadata import Precision


def _parse_batch(context: click.Context, parameter: click.Parameter, value: str) -> int | None:
    """A positive number, or None where the batch stays open."""
    if value == "dynamic":
        return None
    if not value.isdecimal() or int(value) == 0:
        raise click.BadParameter(f"expected a positive number or 'dynamic', got {value!r}")
    return int(value)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--weights", type=click.Path(path_type=Path), required=True, help="Checkpoint (.pth).")
@click.option("--config", "config_name", help="Configuration; by default from the file name or the tensors.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="File to write: .onnx, or .plan for a TensorRT plan.  [default: yolact.onnx; with half precision or a "
    "builder's option yolact.plan]",
)
@click.option("--fp16", is_flag=True, help="Network in half precision; post-processing stays in float32.")
@click.option("--bf16", is_flag=True, help="Network in bfloat16, for wider ranges: Ampere and later.")
@click.option("--int8", is_flag=True, help="Parts of the network in INT8, calibrated on --calib-data.")
@click.option("--graph", type=click.Choice(["full", "raw"]), default="full", help="End in detections or in the heads.")
@click.option(
    "--functions",
    "function_mode",
    type=click.Choice(["keep", "strip", "inline"]),
    default="keep",
    help="Bodies of YolactFastNms and YolactMaskAssembly: keep; strip for TensorRT before 10.7 with the plugins; "
    "inline for TensorRT 8.5 and 8.6.",
)
@click.option("--batch", metavar="N|dynamic", callback=_parse_batch, default="dynamic", help="Images per run.")
@click.option("--imgsz", type=int, help="Side of the network input, pixels.  [default: the configuration's]")
@click.option("--class-names", type=click.Path(path_type=Path), help="Text file with one class name a line.")
@click.option("--score-threshold", type=float, default=0.05, help="Best class score a candidate must exceed.")
@click.option("--nms-threshold", type=float, default=0.5, help="IoU above which the worse box goes.")
@click.option("--top-k", type=int, default=200, help="Candidates per class that enter NMS.")
@click.option("--max-detections", type=int, default=100, help="Detections per image.")
@click.option("--cross-class-nms", is_flag=True, help="Let boxes of different classes suppress each other.")
@click.option("--opset", type=int, help="ONNX opset, 17 or later.  [default: 17, for bf16 22]")
@click.option(
    "--check-image",
    "check_images",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Photo to check on; may be given several times.  [default: a made-up scene]",
)
@click.option(
    "--verify",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="ANNOTATIONS",
    help="Annotations in COCO's format: measure AP before and after, and write nothing if it falls too far.",
)
@click.option("--verify-images", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Their images.")
@click.option("--verify-limit", type=click.IntRange(min=1), help="Take only the first so many.  [default: all]")
@click.option("--max-ap-drop", type=click.FloatRange(min=0), default=0.5, help="Points of mask AP that may be lost.")
@click.version_option(__version__)
@reports_errors
@builder_options
@int8_options
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
    score_threshold: float,
    nms_threshold: float,
    top_k: int,
    max_detections: int,
    cross_class_nms: bool,
    opset: int | None,
    check_images: tuple[Path, ...],
    verify: Path | None,
    verify_images: Path | None,
    verify_limit: int | None,
    max_ap_drop: float,
    build: BuildRequest,
    request: Int8Request,
) -> None:
    """Export a YOLACT or YOLACT++ checkpoint to one ONNX file, checked against PyTorch before it is written, or
    through it to a TensorRT plan.

    INT8 is calibrated on a folder of typical images. For TensorRT it takes the backbone and Protonet and leaves the
    rest in fp16, for a CPU it takes all.

    Configurations: yolact_base, yolact_resnet50, yolact_darknet53, yolact_im400, yolact_im700, yolact_resnet50_pascal,
    yolact_plus_base, yolact_plus_resnet50, yolact_mobilenet_v2, yolact_demo.

    Exit codes: 0 done, 1 an input, the build or the output failed, 2 wrong usage, 3 the export differs from PyTorch,
    loses more accuracy than allowed or is not in the precision asked for, 4 ONNX Runtime or TensorRT cannot take it,
    130 interrupted.
    """
    nms = "cross-class" if cross_class_nms else "fast"
    postprocess = PostprocessConfig(score_threshold, nms_threshold, top_k, max_detections, nms)  # type: ignore[arg-type]
    precision = _precision(fp16, bf16)
    if request.given and not int8:
        raise UsageError(f"{request.given[0]} is for --int8")
    gate = _gate(verify, verify_images, verify_limit, max_ap_drop)
    cache = request.options.cache
    destination = choose_destination(output, build, half=precision != "fp32" or int8)
    int8_platform = None
    if int8:
        require_data(request)
        int8_platform, precision = choose_arithmetic(request, precision, destination)
        opset = check_opset(opset, precision)
    if destination.tensorrt is not None and function_mode != "keep":
        raise UsageError("--functions is for ONNX files; give --output a name that ends in .onnx")
    if destination.tensorrt is not None and batch is not None:
        build.options.for_fixed_batch(batch)  # refused here rather than after the export
    _check_libraries()
    from yolact.export.pipeline import ExportPipeline

    inputs = [weights, class_names, *check_images, verify, cache]
    if cache is not None:
        check_output("--calib-cache", cache, inputs[:-1])
    if destination.tensorrt is not None:
        check_plan_output(destination.path, inputs)
    else:
        check_output("--output", destination.path, inputs)
    images = read_check_images(check_images)
    model = load_model(weights, config_name, class_names, imgsz)
    pipeline = ExportPipeline(
        model, postprocess, sha256_of(weights), graph, function_mode, batch, opset, precision, int8_platform
    )
    proto = pipeline.run(images, gate, request)
    if destination.note:
        click.echo(destination.note)
    if destination.tensorrt is None:
        write_output(destination.path, proto.SerializeToString())
        print_onnx(proto, destination.path, batch)
        if precision == "bf16":
            click.echo("bf16 does not run on ONNX Runtime's CPU provider; build a plan from it with yolact-build")
    else:
        _write_plan(proto, destination, build)


def _precision(fp16: bool, bf16: bool) -> Precision:
    if fp16 and bf16:
        raise UsageError("--fp16 and --bf16 exclude each other; choose one")
    return "fp16" if fp16 else "bf16" if bf16 else "fp32"


def _gate(annotations: Path | None, images: Path | None, limit: int | None, max_drop: float) -> GateRequest | None:
    if (annotations is None) != (images is None):
        raise UsageError("--verify and --verify-images go together: annotations and the folder of their images")
    if annotations is None or images is None:
        given = [name for name in ("verify_limit", "max_ap_drop") if _was_given(name)]
        if given:
            raise UsageError(f"--{given[0].replace('_', '-')} is for --verify")
        return None
    if not math.isfinite(max_drop):
        raise UsageError(f"--max-ap-drop must be a number of points, got {max_drop}")
    return GateRequest(annotations, images, limit, max_drop)


def _was_given(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def _write_plan(proto: onnx.ModelProto, destination: Destination, build: BuildRequest) -> None:
    from yolact.engines.builder import build_plan
    from yolact.runtime.onnx.exported_model import parse_exported_model

    assert destination.tensorrt is not None
    model = parse_exported_model(proto.SerializeToString(), "the exported model")
    start = time.perf_counter()
    built = build_plan(model, build.options, destination.tensorrt, command=command_line("yolact-export"))
    seconds = time.perf_counter() - start
    built.save(destination.path)
    for note in built.notes:
        click.echo(click.format_filename(note), err=True)
    for line in describe_plan(built, destination.path, seconds):
        click.echo(click.format_filename(line))


def _check_libraries() -> None:
    try:
        import onnx  # noqa: F401
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise YolactError(f"exporting needs {error.name}; install it with: pip install 'yolact[export]'") from None


if __name__ == "__main__":
    main()
