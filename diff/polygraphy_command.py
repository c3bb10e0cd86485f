"""The commands that repeat a comparison with Polygraphy alone."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from yolact.diff.gates import Limits
from yolact.diff.sides import OnnxSide, PlanSide, Side
from yolact.runtime.contract import HEADS, output_specs
from yolact.runtime.json_text import to_json
from yolact.runtime.tensorrt.plan_file import sidecar_of
from yolact.training.data.coco.reading_rules import USUAL

if TYPE_CHECKING:
    from yolact.diff.request import DiffRequest

SCRIPTS = Path(__file__).with_name("polygraphy_scripts")
"""Folder of the scripts that `polygraphy run` loads."""


def polygraphy_command(tested: Side, reference: Side, request: DiffRequest) -> str | None:
    """Shell lines that run the reference, keep its outputs, run the tested engine and compare the outputs; None where
    Polygraphy cannot run one of the files."""
    for side in (tested, reference):
        is_emulated = isinstance(side, OnnxSide) and side.is_emulated
        if is_emulated or not isinstance(side, OnnxSide | PlanSide):
            return None
    heads = [name for name in HEADS if name in tested.tensors and name in reference.tensors]
    lines = [f"export {name}={shlex.quote(value)}" for name, value in _environment(request).items()]
    loader = _option("--data-loader-script", SCRIPTS / "data_loader.py")
    compare = _option("--compare-func-script", SCRIPTS / "compare.py")
    if "raw" in (tested.engine.metadata.graph, reference.engine.metadata.graph):
        source = tested if tested.engine.metadata.graph == "full" else reference  # as `share_settings` decides
        lines.insert(0, f"export YOLACT_DIFF_MODEL={shlex.quote(_metadata_file(source))}")
        compare = f"{_option('--postprocess-func-script', SCRIPTS / 'postprocess.py')} {compare}"
    lines.append("outputs=$(mktemp -d)/outputs")
    lines.append(f'{_run(reference, heads, request)} {loader} --save-outputs "$outputs" &&')
    lines.append(f'{_run(tested, heads, request)} {loader} --load-outputs "$outputs" {compare}')
    return "\n".join(lines)


def _environment(request: DiffRequest) -> dict[str, str]:
    """The environment variables for the scripts."""
    variables = {}
    if request.data is not None:
        variables["YOLACT_DIFF_DATA"] = str(request.data.absolute())
    if request.limit is not None:
        variables["YOLACT_DIFF_LIMIT"] = str(request.limit)
    if request.annotations is not None:
        variables["YOLACT_DIFF_ANNOTATIONS"] = str(request.annotations.absolute())
    if request.rules.exif != USUAL.exif:
        variables["YOLACT_DIFF_EXIF"] = request.rules.exif
    if request.limits != Limits():
        variables["YOLACT_DIFF_LIMITS"] = to_json(asdict(request.limits))
    return variables


def _run(side: Side, heads: list[str], request: DiffRequest) -> str:
    path = shlex.quote(str(side.path.absolute()))
    metadata = side.engine.metadata
    if isinstance(side, PlanSide):
        command = f"polygraphy run {path} --model-type engine --trt"
    else:
        finals = output_specs(metadata.graph, metadata.config, metadata.postprocess)
        outputs = ["mark", "all"] if request.layers else list(dict.fromkeys([*heads, *finals]))
        device = request.open_options.device
        providers = "" if device is None else f" --providers {device.kind}"
        command = f"polygraphy run {path} --onnxrt{providers} --onnx-outputs {' '.join(outputs)}"
    return command


def _metadata_file(side: Side) -> str:
    path = side.path.absolute()
    return str(sidecar_of(path) if isinstance(side, PlanSide) else path)


def _option(name: str, script: Path) -> str:
    return f"{name} {shlex.quote(str(script))}"
