"""The CUDA kernels on this GPU beside PyTorch and beside the bytes they must move, at YOLACT-ResNet50's sizes at 550.

Not yet run on a GPU. Results are compared with PyTorch's before anything is timed; if they differ, the run ends with
exit code 1. Needs the kernels (yolact-build-plugins) and a PyTorch with CUDA.

    python -m benchmarks.gpu kernels [--batch 1 ...] [--type fp16 ...] [--case realistic ...] [--json FILE]
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import click
import cv2
import torch
from tqdm import tqdm

from benchmarks.commands import json_option
from benchmarks.gpu.kernels.agreement import TOLERANCE, differences
from benchmarks.gpu.kernels.inputs import (
    CASES,
    CONFIG,
    MODEL,
    both_bytes,
    make_heads,
    make_image,
    mask_bytes,
    nms_bytes,
    resize_bytes,
)
from benchmarks.gpu.kernels.launches import MasksKernel, PostprocessKernels, ResizeKernel
from benchmarks.gpu.kernels.report import PLUGINS, Report, Row
from benchmarks.gpu.kernels.timing import GpuTimer, describe_gpu
from benchmarks.torch_postprocess import Heads, Outputs, batched, official, official_images
from yolact.cli.command import reports_errors
from yolact.runtime.cuda.kernels import KernelLibrary
from yolact.runtime.errors import YolactError

BATCHES = (1, 32, 8)
TYPES = {"fp16": torch.float16, "fp32": torch.float32}
IMAGES = {"720p": (720, 1280), "1080p": (1080, 1920), "4K": (2160, 3840)}

Form = Callable[[Heads], Outputs]


class Differs(YolactError):
    """Results differ from those of PyTorch."""


def demand_equal(what: str, found: Outputs, expected: Outputs, tolerance: float) -> None:
    """Raise Differs with the first differences, if there are any."""
    if problems := differences(found, expected, tolerance):
        raise Differs(f"{what} does not find what the official steps find: {'; '.join(problems[:3])}")


def run_batched(heads: Heads) -> Outputs:
    """The batched form with the configuration as a constant, as it is compiled."""
    return batched(heads, CONFIG)


@cache
def compiled_form() -> Form:
    """The batched form compiled for every shape it meets."""
    torch._dynamo.config.recompile_limit = 64  # each batch size and type is one compilation
    return torch.compile(run_batched, fullgraph=True, dynamic=False)


def batched_forms(heads: Heads, *, compiled: bool) -> tuple[dict[str, Form], str]:
    """The batched form, eager and, if requested and possible in PyTorch, also compiled; and a clause for the report
    that names the forms."""
    forms: dict[str, Form] = {"eager": run_batched}
    if not compiled:
        return forms, "eager"
    try:
        compiled_form()(heads)
    except Exception as error:  # a missing Triton or C compiler raises many kinds of errors
        reason = (str(error).splitlines() or [""])[0]
        return forms, f"eager, as torch.compile failed with {type(error).__name__}: {reason}"
    return {**forms, "compiled": compiled_form()}, "the faster of eager and compiled by torch.compile"


def postprocess_rows(
    timer: Any, report: Report, library: KernelLibrary, heads: Heads, label: tuple[int, str, str], *, compiled: bool
) -> list[Row]:
    """Rows of both kernels, together and apart, beside PyTorch's official and batched form, which may be compiled.

    Raises Differs.
    """
    tolerance, where = TOLERANCE[heads.confidences.dtype], "batch {}, {}, {}".format(*label)
    expected = official(heads, CONFIG)
    size = nms_bytes(heads, expected)
    all_heads = [heads, *(copy_heads(heads) for _ in range(timer.copies(size) - 1))]
    copies = [PostprocessKernels(library, other, CONFIG) for other in all_heads]
    copies[0].both()
    demand_equal(f"launching the kernels ({where})", copies[0].outputs, expected, tolerance)
    forms, report.batched_form = batched_forms(heads, compiled=compiled)
    for name, form in forms.items():
        demand_equal(f"the batched form, {name} ({where})", form(heads), expected, tolerance)

    copies[0].poison()
    both = [other.both for other in copies]
    row = Row(PLUGINS, *label, both_bytes(heads, expected), microseconds=timer.graph(both))
    for other in (copies[0], copies[-1]):  # an empty recording would be quick
        demand_equal(f"the recorded kernels ({where})", other.outputs, expected, tolerance)
    row.stages = timer.stages(both)
    row.official = timer.plain([partial(official_images, other, CONFIG) for other in all_heads])
    row.batched = min(timer.graph([partial(form, other) for other in all_heads]) for form in forms.values())
    nms, assembly = [other.fast_nms for other in copies], [other.mask_assembly for other in copies]
    rows = [
        row,
        Row("fast_nms", *label, size, microseconds=timer.graph(nms)),
        Row("mask_assembly", *label, mask_bytes(heads), microseconds=timer.graph(assembly)),
    ]
    for one in rows:
        one.floor = report.floor(one.bytes)
    return rows


def copy_heads(heads: Heads) -> Heads:
    """The same heads elsewhere in memory; the priors, a constant of the engine, are shared."""
    return Heads(*(array if array is heads.priors else array.clone() for array in heads))


def image_row(timer: Any, report: Report, kernel: ResizeKernel | MasksKernel, row: Row) -> Row:
    """Add to the row of a checked kernel its times and those of PyTorch's interpolate."""
    copies = [kernel, *(kernel.copy() for _ in range(timer.copies(row.bytes) - 1))]
    row.floor = report.floor(row.bytes)
    row.microseconds = timer.graph([other.run for other in copies])
    row.official = timer.graph([other.torch_form for other in copies])
    return row


def resize_row(timer: Any, report: Report, library: KernelLibrary, device: str, name: str) -> Row:
    """The row of resizing an image to the network's input. Raises Differs."""
    size, image = MODEL.image_size, make_image(*IMAGES[name], device)
    kernel = ResizeKernel(library, image, size)
    kernel.run()
    expected = cv2.resize(image.cpu().numpy(), (size, size), interpolation=cv2.INTER_LINEAR)
    if not torch.equal(kernel.output.cpu(), torch.from_numpy(expected)):
        raise Differs(f"resize_pack of {name}: expected the bytes of cv2.resize, got others")
    row = Row("resize_pack", 1, "uint8", f"{name} to {size}", resize_bytes(*IMAGES[name], size))
    return image_row(timer, report, kernel, row)


def masks_row(timer: Any, report: Report, library: KernelLibrary, device: str, name: str) -> Row:
    """The row of enlarging the masks of one image's detections to the image's size. Raises Differs."""
    masks = official(make_heads("realistic", 1, torch.float16, device), CONFIG).masks[0]
    kernel = MasksKernel(library, masks, IMAGES[name])
    kernel.run()
    if not torch.equal(kernel.bits.cpu(), kernel.expected):
        raise Differs(f"masks_to_image at {name}: expected the bits of ImageTransform.upsample_mask, got others")
    row = Row("masks_to_image", 1, "fp32", f"{len(masks)} masks to {name}", kernel.bytes)
    return image_row(timer, report, kernel, row)


def measure(
    timer: Any,
    report: Report,
    library: KernelLibrary,
    device: str,
    choice: Sequence[Sequence[Any]],
    path: Path | None,
    *,
    compiled: bool = True,
    images: bool = True,
) -> None:
    """Fill the report and write it after each step. For the arguments see `time_kernels`."""

    def postprocess(batch: int, kind: str, case: str) -> list[Row]:
        heads = make_heads(case, batch, TYPES[kind], device)
        return postprocess_rows(timer, report, library, heads, (batch, kind, case), compiled=compiled)

    jobs: list[Callable[[], list[Row]]] = [partial(postprocess, *label) for label in itertools.product(*choice)]
    if images:
        jobs += [lambda name=name: [resize_row(timer, report, library, device, name)] for name in IMAGES]
        jobs.append(lambda: [masks_row(timer, report, library, device, "720p")])
    for job in tqdm(jobs, disable=None):
        report.rows += job()
        report.write(path)


@click.command()
@click.option("--batch", "batches", type=click.IntRange(1), multiple=True, default=BATCHES, show_default=True)
@click.option("--type", "types", type=click.Choice(list(TYPES)), multiple=True, default=list(TYPES), show_default=True)
@click.option("--case", "cases", type=click.Choice(list(CASES)), multiple=True, default=list(CASES), show_default=True)
@json_option
@reports_errors
def main(batches: tuple[int, ...], types: tuple[str, ...], cases: tuple[str, ...], json_path: Path | None) -> None:
    """Time the CUDA kernels on this GPU."""
    if not torch.cuda.is_available():
        raise YolactError(f"expected a GPU that PyTorch can use, got none (PyTorch {torch.__version__})")
    time_kernels((batches, types, cases), json_path)


def time_kernels(
    choice: Sequence[Sequence[Any]], path: Path | None, *, compiled: bool = True, images: bool = True
) -> None:
    """Time the kernels in all batches, types and cases of the choice. The file is written after each. The report is
    printed at the end; after an error it has the measurements until then.

    Args:
        choice: batches, types and cases.
        path: of the file.
        compiled: compile PyTorch's batched form as well, which takes long for each batch and type.
        images: time the kernels for images and masks, too.

    Raises YolactError if there is no library of kernels, and if results differ from PyTorch's.
    """
    library, timer = KernelLibrary(), GpuTimer()
    report = Report(describe_gpu(), timer.bandwidth())
    try:
        with torch.no_grad():
            measure(timer, report, library, "cuda", choice, path, compiled=compiled, images=images)
    finally:
        print(report)
