"""The resources of every CUDA kernel on a multiprocessor, by the compiler's report and its machine code: registers,
shared memory, spills, instructions of loops; and the cost of the plugins' launches.

python -m benchmarks.gpu resources [--arch ARCH ...] [--json benchmarks/results/kernel_resources.json]
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from benchmarks.commands import json_option
from benchmarks.figures import write_figures
from benchmarks.gpu import tables
from benchmarks.gpu.kernels import sass
from benchmarks.gpu.kernels.estimate import BUS, CALL, MEMORY, ORIN_MEMORY, estimate, floor, occupancy
from benchmarks.gpu.kernels.workload import Launch, copied_bytes, detector_launches, fused_mask_bytes, launches
from yolact.cli.command import reports_errors
from yolact.plugins.build import SOURCES, BuildFailed, find_tools
from yolact.runtime.errors import YolactError

ELEMENT_TYPES = {"float": "fp32", "__half": "fp16", "__nv_bfloat16": "bf16", "": "-"}

SHEET_ARCHS = ("sm_87", "sm_89", "sm_90")
"""Jetson Orin, GeForce RTX 40, and the H200 that times are estimated for."""

Code = dict[str, list[sass.Instruction]]

_REPORT = re.compile(
    r"Function properties for (?P<symbol>\S+)\n"
    r"\s*(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads\n"
    r".*?Used (?P<registers>\d+) registers(?P<rest>[^\n]*)"
)


def compile_kernels(nvcc: Path, source: Path, arch: str) -> tuple[str, Code]:
    """The compiler's report on one file, and the machine code of its kernels by symbol.

    Raises YolactError if it does not compile.
    """
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder, "kernels.cubin")
        command = [str(nvcc), "-std=c++17", "--fmad=false", "-lineinfo", "-Xptxas=-v", f"-arch={arch}"]
        command += ["-I", str(SOURCES), "-cubin", str(source), "-o", str(cubin)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise YolactError(f"nvcc does not compile {source.name} for {arch}: {done.stderr[-500:]}")
        return done.stderr, sass.disassemble(cubin)


def read_report(report: str, code: Code, source: Path, arch: str) -> list[dict[str, Any]]:
    """One row for each instance of a kernel."""
    rows = []
    for found in _REPORT.finditer(report):
        shared = re.search(r"(\d+) bytes smem", found["rest"])
        name = subprocess.run(["c++filt", found["symbol"]], capture_output=True, text=True, check=True).stdout
        kernel = re.search(
            r"(\w+)(?:<(\w+)(?:, (\d+))?>)?\(", name.replace("(anonymous namespace)", "").replace("(int)", "")
        )
        assert kernel is not None, name
        instructions = code[found["symbol"]]
        rows.append(
            {
                "symbol": found["symbol"],
                "file": str(source.relative_to(SOURCES)),
                "kernel": kernel[1] + (", any K" if kernel[3] == "0" else ""),
                "type": ELEMENT_TYPES[kernel[2] or ""],
                "arch": arch,
                "registers": int(found["registers"]),
                "static_shared_bytes": int(shared[1]) if shared else 0,
                "spilled_bytes": int(found["stores"]) + int(found["loads"]) + int(found["stack"]),
                "code": sass.count(instructions),
                "loops": [{"in": loop.function, **sass.count(loop.instructions)} for loop in sass.loops(instructions)],
            }
        )
    return rows


def cost_sheet(
    rows: list[dict[str, Any]], codes: dict[str, Code], launched: Sequence[Launch], batches: Sequence[int]
) -> list[dict[str, Any]]:
    """The cost of each launch at YOLACT-550's sizes in FP16, in their order."""
    sheet = []
    for launch in launched:
        found = {row["arch"]: row for row in rows if row["kernel"] == launch.kernel and row["type"] in ("fp16", "-")}
        row = found["sm_90"]
        (code,) = (code for symbol, code in codes["sm_90"].items() if symbol == row["symbol"])
        held = {
            arch: round(occupancy(launch, found[arch]["registers"], row["static_shared_bytes"], int(arch[3:])), 3)
            for arch in SHEET_ARCHS
        }
        times = {
            str(batch): {
                "floor_us": round(floor(launch, batch) * 1e6, 2),
                "estimate_us": round(estimate(launch, code, row, batch) * 1e6, 2),
            }
            for batch in batches
        }
        cost = {"kernel": launch.kernel, "blocks": launch.blocks, "threads": launch.threads}
        cost |= {"dynamic_shared_bytes": launch.shared, "bytes": launch.bytes, "occupancy": held, "batches": times}
        sheet.append(cost)
    return sheet


def around_engine(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """The work of a detector on a plan beside its engine for one image, one part after the other."""
    up, down = copied_bytes()
    resize, enlarge = (cost["batches"]["1"]["estimate_us"] for cost in figures["detector_sheet"])
    parts = [
        ("the image to the GPU", up, up / BUS * 1e6),
        ("stretching it", 0, resize),
        ("enlarging 100 masks", 0, enlarge),
        ("what was found to the host", down, down / BUS * 1e6),
        ("two calls and two waits of the host", 0, 4 * CALL * 1e6),
    ]
    return [{"part": part, "bytes": size, "estimate_us": round(time, 1)} for part, size, time in parts]


def mask_forms(figures: dict[str, Any]) -> dict[str, Any]:
    """The cost of masks with probabilities between network and image, and the least possible cost without them."""
    assembled, enlarged = figures["sheet"][-1], figures["detector_sheet"][-1]
    each = enlarged["batches"]["1"]["estimate_us"]  # launched for each image of a batch
    estimates = {batch: times["estimate_us"] / int(batch) + each for batch, times in assembled["batches"].items()}
    return {
        "bytes": {"now": assembled["bytes"] + enlarged["bytes"], "fused": fused_mask_bytes()},
        "estimate_us_an_image": {batch: round(value, 2) for batch, value in estimates.items()},
        "memory": {"H200": MEMORY, "AGX Orin": ORIN_MEMORY},
    }


@click.command()
@click.option(
    "--arch",
    "archs",
    multiple=True,
    default=SHEET_ARCHS,
    show_default=True,
    help="GPU architecture. The cost sheet needs sm_87, sm_89 and sm_90.",
)
@json_option
@reports_errors
def main(archs: tuple[str, ...], json_path: Path | None) -> None:
    """Compile every kernel and print a table."""
    try:
        nvcc = find_tools().nvcc
    except BuildFailed as error:
        raise YolactError(str(error)) from error
    version = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
    release = re.search(r"release ([\d.]+)", version)
    jobs = [(source, arch) for source in sorted(SOURCES.glob("*/*.cu")) for arch in archs]
    rows: list[dict[str, Any]] = []
    codes: dict[str, Code] = {arch: {} for arch in archs}
    for source, arch in tqdm(jobs, disable=None):
        report, code = compile_kernels(nvcc, source, arch)
        rows += read_report(report, code, source, arch)
        codes[arch] |= code
    figures: dict[str, Any] = {"compiler": f"nvcc {release[1] if release else 'unknown'}", "kernels": rows}
    if set(SHEET_ARCHS) <= set(archs):
        figures["sheet"] = cost_sheet(rows, codes, launches(), (1, 32))
        figures["detector_sheet"] = cost_sheet(rows, codes, detector_launches(), (1,))
        figures["mask_forms"] = mask_forms(figures)
        figures["around_engine"] = around_engine(figures)
        print(tables.cost_sheet(figures), tables.detector_sheet(figures), sep="\n\n", end="\n\n")
    for row in rows:
        del row["symbol"]  # it changes with the folder that the sources lie in
    print(tables.loops(figures), tables.resources(figures), sep="\n\n")
    write_figures(json_path, figures)
