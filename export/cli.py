"""`yolact-export`: a PyTorch checkpoint to an engine file."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from yolact.engines.build_cli_options import BuildRequest, builder_options
from yolact.engines.cli import check_plan_output, command_line, describe_plan
from yolact.export.targets import Target, choose_target
from yolact.runtime.cli import reports_errors
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.errors import UsageError, YolactError
from yolact.runtime.output_file import check_output, write_output

if TYPE_CHECKING:
    import onnx

    from yolact.export.verify import Verification
    from yolact.runtime.config import ModelConfig
    from yolact.runtime.metadata import Precision
    from yolact.runtime.preprocess import Image
    from yolact.training.model import Yolact


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
@click.version_option(package_name="yolact")
@reports_errors
@builder_options
def main(
    weights: Path,
    config_name: str | None,
    output: Path | None,
    fp16: bool,
    bf16: bool,
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
    build: BuildRequest,
) -> None:
    """Export a YOLACT or YOLACT++ checkpoint to one ONNX file, checked against PyTorch before it is written, or
    through it to a TensorRT plan.

    Configurations: yolact_base, yolact_resnet50, yolact_darknet53, yolact_im400, yolact_im700, yolact_resnet50_pascal,
    yolact_plus_base, yolact_plus_resnet50, yolact_mobilenet_v2, yolact_demo.

    Exit codes: 0 done, 1 an input, the build or the output failed, 2 wrong usage, 3 the export differs from PyTorch or
    is not in the precision asked for, 4 ONNX Runtime or TensorRT cannot take it, 130 interrupted.
    """
    nms = "cross-class" if cross_class_nms else "fast"
    postprocess = PostprocessConfig(score_threshold, nms_threshold, top_k, max_detections, nms)  # type: ignore[arg-type]
    precision = _precision(fp16, bf16)
    target = choose_target(output, build, half=precision != "fp32")
    if target.tensorrt is not None and function_mode != "keep":
        raise UsageError("--functions is for ONNX files; give --output a name that ends in .onnx")
    if target.tensorrt is not None and batch is not None:
        build.options.for_fixed_batch(batch)  # refused here rather than after the export
    _check_libraries()
    from yolact.export.exporter import export_model, strip_functions
    from yolact.export.verify import verify_model

    inputs = [weights, class_names, *check_images]
    if target.tensorrt is not None:
        check_plan_output(target.path, inputs)
    else:
        check_output("--output", target.path, inputs)
    images = _read_check_images(check_images)
    model = _load(weights, config_name, class_names, imgsz)
    proto = export_model(
        model,
        postprocess,
        weights_sha256=_sha256(weights),
        graph=graph,
        inline_functions=function_mode == "inline",
        batch=batch,
        opset=opset,
        precision=precision,
    )
    verification = verify_model(proto, model, postprocess, graph, images, batch, precision)
    _print_verification(model.config, precision, verification)
    if function_mode == "strip":
        strip_functions(proto)
    if target.note:
        click.echo(target.note)
    if target.tensorrt is None:
        write_output(target.path, proto.SerializeToString())
        _print_onnx(proto, target.path, batch)
        if precision == "bf16":
            click.echo("bf16 does not run on ONNX Runtime's CPU provider; build a plan from it with yolact-build")
    else:
        _write_plan(proto, target, build)


def _precision(fp16: bool, bf16: bool) -> Precision:
    if fp16 and bf16:
        raise UsageError("--fp16 and --bf16 exclude each other; choose one")
    return "fp16" if fp16 else "bf16" if bf16 else "fp32"


def _write_plan(proto: onnx.ModelProto, target: Target, build: BuildRequest) -> None:
    from yolact.engines.builder import build_plan
    from yolact.engines.onnx_model import parse_onnx_model

    assert target.tensorrt is not None
    model = parse_onnx_model(proto.SerializeToString(), "the exported model")
    start = time.perf_counter()
    built = build_plan(model, build.options, target.tensorrt, command=command_line("yolact-export"))
    seconds = time.perf_counter() - start
    built.save(target.path)
    for note in built.notes:
        click.echo(click.format_filename(note), err=True)
    for line in describe_plan(built, target.path, seconds):
        click.echo(click.format_filename(line))


def _check_libraries() -> None:
    try:
        import onnx  # noqa: F401
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise YolactError(f"exporting needs {error.name}; install it with: pip install 'yolact[export]'") from None


def _read_check_images(paths: tuple[Path, ...]) -> list[Image]:
    from yolact.export.check_image import make_check_image
    from yolact.runtime.image_files import read_image

    return [read_image(path) for path in paths] or [make_check_image()]


def _load(weights: Path, config_name: str | None, class_names: Path | None, imgsz: int | None) -> Yolact:
    """The model as it is to be exported."""
    from yolact.training.checkpoints import load_checkpoint
    from yolact.training.configs import get_config

    names = None if class_names is None else _read_class_names(class_names)
    model = load_checkpoint(weights, None if config_name is None else get_config(config_name), names)
    if imgsz is not None:
        model.config = replace(model.config, image_size=imgsz)
    return model


def _read_class_names(path: Path) -> list[str]:
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise UsageError(f"--class-names {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--class-names {path} is no UTF-8 text; write one class name a line") from None
    while names and not names[-1]:
        names.pop()
    if not names or not all(names):
        raise UsageError(f"--class-names {path} has {'an empty line' if names else 'no names'}; write one a line")
    return names


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


HEADS = 4
"""Of a verification's differences, those of the heads come first."""


def _print_verification(config: ModelConfig, precision: Precision, verification: Verification) -> None:
    measure = "largest difference" if precision == "fp32" else "relative root mean square of the difference"
    click.echo(
        f"{config.name}: {config.num_classes} classes, {config.image_size}x{config.image_size} input, {precision}"
    )
    click.echo(f"heads, {measure} from PyTorch:")
    for index, difference in enumerate(verification.differences):
        if index == HEADS:
            click.echo("detections, largest difference from NumPy post-processing of the same heads:")
        click.echo(f"  {difference.output:<15} {difference.largest:.1e}")
    if precision != "fp32":
        from yolact.export.comparison import TELLING_SCORE

        again, telling = verification.found_again, verification.telling
        click.echo(
            f"{again} of {telling} detections that score above {TELLING_SCORE} in fp32 found again in {precision}"
        )


def _print_onnx(proto: onnx.ModelProto, output: Path, batch: int | None) -> None:
    size = output.stat().st_size / 1e6
    opset = next(entry.version for entry in proto.opset_import if not entry.domain)
    click.echo(click.format_filename(f"wrote {output}: {size:.1f} MB, opset {opset}, batch {batch or 'dynamic'}"))


if __name__ == "__main__":
    main()
