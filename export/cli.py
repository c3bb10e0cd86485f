"""`yolact-export`: a PyTorch checkpoint to an engine file."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from yolact.runtime.atomic import check_replaceable, replacing
from yolact.runtime.cli import reports_errors
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.errors import UsageError, YolactError

if TYPE_CHECKING:
    import onnx

    from yolact.export.verify import Difference
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
@click.option("--output", type=click.Path(path_type=Path), default=Path("yolact.onnx"), help="ONNX file to write.")
@click.option("--graph", type=click.Choice(["full", "raw"]), default="full", help="End in detections or in the heads.")
@click.option(
    "--functions",
    "function_mode",
    type=click.Choice(["keep", "strip", "inline"]),
    default="keep",
    help="Bodies of YolactFastNms and YolactMaskAssembly: keep; strip for TensorRT 9.0-10.6 with the plugins; "
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
@click.option("--opset", type=int, default=17, help="ONNX opset, 17 or later.")
@click.option("--check-image", type=click.Path(path_type=Path), help="Photo to check on.  [default: a made-up scene]")
@click.version_option(package_name="yolact")
@reports_errors
def main(
    weights: Path,
    config_name: str | None,
    output: Path,
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
    opset: int,
    check_image: Path | None,
) -> None:
    """Export a YOLACT or YOLACT++ checkpoint to one ONNX file, checked against PyTorch before it is written.

    Configurations: yolact_base, yolact_resnet50, yolact_darknet53, yolact_im400, yolact_im700, yolact_resnet50_pascal,
    yolact_plus_base, yolact_plus_resnet50, yolact_mobilenet_v2, yolact_demo.

    Exit codes: 0 done, 1 an input or the output failed, 2 wrong usage, 3 the export differs from PyTorch, 4 ONNX
    Runtime cannot run it, 130 interrupted.
    """
    nms = "cross-class" if cross_class_nms else "fast"
    postprocess = PostprocessConfig(score_threshold, nms_threshold, top_k, max_detections, nms)  # type: ignore[arg-type]
    _check_libraries()
    from yolact.export.exporter import export_model, strip_functions
    from yolact.export.verify import verify_model

    _check_output(output, [weights, check_image, class_names])
    image = _read_check_image(check_image)
    model = _load(weights, config_name, class_names, imgsz)
    options: dict[str, Any] = {
        "weights_sha256": _sha256(weights),
        "graph": graph,
        "batch": batch,
        "opset": opset,
    }
    proto = export_model(model, postprocess, inline_functions=function_mode == "inline", **options)
    differences = verify_model(proto, model, postprocess, graph, image, batch)
    if function_mode == "strip":
        strip_functions(proto)
    _write(proto, output)
    _print_summary(model, proto, output, differences, batch)


def _check_libraries() -> None:
    try:
        import onnx  # noqa: F401
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise YolactError(f"exporting needs {error.name}; install it with: pip install 'yolact[export]'") from None


def _check_output(output: Path, inputs: list[Path | None]) -> None:
    check_replaceable(output)
    if output.resolve() in {path.resolve() for path in inputs if path is not None}:
        raise UsageError(f"--output {output} is one of the inputs; choose another file")
    if not output.parent.is_dir():
        raise UsageError(f"--output {output}: there is no folder {output.parent}; create it first")


def _read_check_image(path: Path | None) -> Any:
    from yolact.export.check_image import make_check_image
    from yolact.runtime.image_files import read_image

    return make_check_image() if path is None else read_image(path)


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


def _write(proto: onnx.ModelProto, output: Path) -> None:
    try:
        with replacing(output) as temporary:
            temporary.write_bytes(proto.SerializeToString())
    except OSError as error:
        reason = error.strerror or error
        raise YolactError(f"cannot write {output}: {reason}; free space or choose another place") from None


def _print_summary(
    model: Yolact, proto: onnx.ModelProto, output: Path, differences: list[Difference], batch: int | None
) -> None:
    config = model.config
    click.echo(f"{config.name}: {config.num_classes} classes, {config.image_size}x{config.image_size} input")
    click.echo("largest difference from PyTorch:")
    for difference in differences:
        click.echo(f"  {difference.output:<15} {difference.largest:.1e}")
    size = output.stat().st_size / 1e6
    opset = next(entry.version for entry in proto.opset_import if not entry.domain)
    click.echo(f"wrote {output}: {size:.1f} MB, opset {opset}, batch {batch or 'dynamic'}")
