"""The files of a plan: checks whether they can be written, writes them, and describes them to the user."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from yolact.runtime.engine_files import PLAN_SUFFIXES
from yolact.runtime.output_files import check_output
from yolact.runtime.tensorrt.flavour import FLAVOURS
from yolact.runtime.tensorrt.plan_file import sidecar_of
from yolact.runtime.tensorrt.plan_pair import waiting_sidecar_of
from yolact.runtime.wording import list_all

if TYPE_CHECKING:
    from yolact.engines.build_options import BuildOptions
    from yolact.engines.builder import BuiltPlan
    from yolact.runtime.onnx.exported_model import ExportedModel
    from yolact.runtime.tensorrt.flavour import TensorRt
    from yolact.runtime.wording import Say


def check_plan_output(output: Path, inputs: Iterable[Path | None]) -> None:
    """Apply `check_output` to all files of a plan: the plan, whose suffix must be one of plans, and its sidecar, which
    has another name until the plan is written."""
    known = list(inputs)
    check_output("--output", output, known, PLAN_SUFFIXES)
    for sidecar in (sidecar_of(output), waiting_sidecar_of(output)):
        check_output("--output", sidecar, known)


def write_plan(
    model: ExportedModel,
    options: BuildOptions,
    tensorrt: TensorRt,
    output: Path,
    *,
    command: Sequence[str],
    say: Say,
    note: Say,
) -> None:
    """Build a plan and write it with its sidecar.

    Args:
        model, options, tensorrt, command: see `builder.build_plan`.
        output: a path that `check_plan_output` has accepted.
        say: gets the lines about the plan.
        note: gets sentences about faults without consequence for the plan.

    Raises as `builder.build_plan` and `BuiltPlan.save`.
    """
    from yolact.engines.builder import build_plan

    start = time.perf_counter()
    built = build_plan(model, options, tensorrt, command=command)
    seconds = time.perf_counter() - start
    built.save(output)
    for sentence in built.notes:
        note(sentence)
    for line in _describe(built, output, seconds):
        say(line)
    if (advice := _int8_saves_nothing(model, built.identity.size)) is not None:
        say(advice)


def _describe(built: BuiltPlan, output: Path, seconds: float) -> Iterator[str]:
    """Lines about a plan that was written."""
    identity = built.identity
    title = next(flavour.title for flavour in FLAVOURS if flavour.module == identity.flavour)
    gpus = identity.gpu_name or ", ".join(identity.gpu_archs) or "Ampere and later"
    types = identity.convolutions
    rounded = built.metadata.quantization
    if rounded is not None:
        types += f", of which those of {list_all(rounded.modules)} are rounded to INT8"
    batch = "-".join(map(str, sorted({identity.min_batch, identity.max_batch})))
    yield f"{title} {identity.tensorrt_version} for {gpus}; {types}; batch {batch}; built in {seconds:.1f} s"
    if identity.plugins:
        carried = "the plan contains them, so commands need --allow-host-code to run it"
        where = carried if identity.plugins_embedded else "build them with yolact-build-plugins where the plan runs too"
        yield f"with the plugins {', '.join(identity.plugins)}; {where}"
    yield f"wrote {output}: {identity.size / 1e6:.1f} MB, and {sidecar_of(output).name}"


def _int8_saves_nothing(model: ExportedModel, size: int) -> str | None:
    """A sentence about an INT8 plan that is larger than its weights in fp16; None for other plans."""
    if model.metadata.quantization is None:
        return None
    values = sum(math.prod(tensor.dims) for tensor in model.proto.graph.initializer if len(tensor.dims) > 1)
    if size <= 2 * values:
        return None
    return (
        f"INT8 saves no space here: in fp16, the weights take {2 * values / 1e6:.1f} MB; compare with the size and the "
        "speed of a plan by --fp16, which may be better in both for so small a network"
    )
