"""What every CUDA kernel takes of a multiprocessor, by the compiler's own report: registers, shared memory, spills.

python -m benchmarks.gpu resources [--arch sm_86 --arch sm_90] [--json benchmarks/results/kernel_resources.json]
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from benchmarks.commands import json_option
from benchmarks.figures import write_figures
from benchmarks.gpu import tables
from yolact.cli.command import reports_errors
from yolact.plugins.build import SOURCES, BuildFailed, find_tools
from yolact.runtime.errors import YolactError

ELEMENT_TYPES = {"float": "fp32", "__half": "fp16", "__nv_bfloat16": "bf16", "": "-"}

_REPORT = re.compile(
    r"Function properties for (?P<symbol>\S+)\n"
    r"\s*(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads\n"
    r".*?Used (?P<registers>\d+) registers(?P<rest>[^\n]*)"
)


def compile_kernels(nvcc: Path, source: Path, arch: str) -> str:
    """The compiler's report on one file. Raises YolactError where it does not compile."""
    with tempfile.TemporaryDirectory() as folder:
        command = [str(nvcc), "-std=c++17", "--fmad=false", "-Xptxas=-v", f"-arch={arch}", "-I", str(SOURCES)]
        done = subprocess.run([*command, "-c", source, "-o", f"{folder}/x.o"], capture_output=True, text=True)
    if done.returncode:
        raise YolactError(f"nvcc does not compile {source.name} for {arch}: {done.stderr[-500:]}")
    return done.stderr


def read_report(report: str, source: Path, arch: str) -> list[dict[str, Any]]:
    """One row for each instance of a kernel."""
    rows = []
    for found in _REPORT.finditer(report):
        shared = re.search(r"(\d+) bytes smem", found["rest"])
        name = subprocess.run(["c++filt", found["symbol"]], capture_output=True, text=True, check=True).stdout
        kernel = re.search(r"(\w+)(?:<(\w+)>)?\(yolact|(\w+)(?:<(\w+)>)?\(", name.replace("(anonymous namespace)", ""))
        assert kernel is not None, name
        rows.append(
            {
                "file": str(source.relative_to(SOURCES)),
                "kernel": kernel[1] or kernel[3],
                "type": ELEMENT_TYPES[kernel[2] or kernel[4] or ""],
                "arch": arch,
                "registers": int(found["registers"]),
                "static_shared_bytes": int(shared[1]) if shared else 0,
                "spilled_bytes": int(found["stores"]) + int(found["loads"]) + int(found["stack"]),
            }
        )
    return rows


@click.command()
@click.option("--arch", "archs", multiple=True, default=("sm_86", "sm_90"), show_default=True)
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
    rows = [row for job in tqdm(jobs, disable=None) for row in read_report(compile_kernels(nvcc, *job), *job)]
    figures = {"compiler": f"nvcc {release[1] if release else 'unknown'}", "kernels": rows}
    print(tables.resources(figures))
    write_figures(json_path, figures)
