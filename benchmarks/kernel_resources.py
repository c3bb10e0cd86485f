"""What every CUDA kernel takes of a multiprocessor, by the compiler's own report: registers, shared memory, spills.

python benchmarks/kernel_resources.py [--arch sm_86 --arch sm_90] [--json benchmarks/results/kernel_resources.json]
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import click
import result_tables
from figures import write_figures
from tqdm import tqdm

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"
ELEMENT_TYPES = {"float": "fp32", "__half": "fp16", "__nv_bfloat16": "bf16", "": "-"}

_REPORT = re.compile(
    r"Function properties for (?P<symbol>\S+)\n"
    r"\s*(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads\n"
    r".*?Used (?P<registers>\d+) registers(?P<rest>[^\n]*)"
)


def compile_kernels(source: Path, arch: str) -> str:
    """The compiler's report on one file. Raises ClickException where it does not compile."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["nvcc", "-std=c++17", "--fmad=false", "-Xptxas=-v", f"-arch={arch}", "-I", str(PLUGINS)]
        done = subprocess.run([*command, "-c", source, "-o", f"{folder}/x.o"], capture_output=True, text=True)
    if done.returncode:
        raise click.ClickException(f"nvcc does not compile {source.name} for {arch}: {done.stderr[-500:]}")
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
                "file": str(source.relative_to(PLUGINS)),
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
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the figures here.")
def main(archs: tuple[str, ...], json_path: Path | None) -> None:
    """Compile every kernel and print a table."""
    version = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True).stdout
    release = re.search(r"release ([\d.]+)", version)
    jobs = [(source, arch) for source in sorted(PLUGINS.glob("*/*.cu")) for arch in archs]
    rows = [row for job in tqdm(jobs, disable=None) for row in read_report(compile_kernels(*job), *job)]
    figures = {"compiler": f"nvcc {release[1] if release else 'unknown'}", "kernels": rows}
    print(result_tables.kernel_resources(figures))
    if json_path is not None:
        write_figures(json_path, figures)


if __name__ == "__main__":
    main()
