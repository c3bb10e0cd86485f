"""Everything that needs a GPU, in one call, for a machine that may be there only once. Not yet run on a GPU.

Needs a Python with PyTorch's CUDA build, and nothing installed: the repository is imported from where it lies. What
else is missing (OpenCV, ONNX, TensorRT, nvcc, ...) skips a part and ends none. Each step is a process with a time limit
of its own; the most valuable come first. The JSON file is written after each, the tables are printed at the end, also
where a signal or the limit ends the run early.

    python3 benchmarks/gpu_check.py [--limit 540] [--json benchmarks/results/gpu_check.json] [--only STEP ...]

Exit codes: 0 nothing failed, 1 something did or ran out of time, 2 wrong usage, 4 there is no CUDA GPU, 130 and 143
interrupted and terminated. This file and what it imports need the standard library alone: a bare machine may not even
have click and tqdm.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "gpu_check"
RESULTS, PARTIAL = Path("benchmarks/results/gpu_check.json"), Path("build/gpu_check.json")
NETWORKS = ("yolact_resnet50", "yolact_base")
CONTENDERS = {
    "recorded": 75,
    "eager": 75,
    "eager-fp32": 75,
    "tensorrt": 150,
    "tensorrt-rtx": 120,
    "ort-cuda": 75,
    "ort-tensorrt": 150,
}
"""Names in `gpu_end_to_end.CONTENDERS`, in order of their value, and the seconds that each may take a network."""

SANITIZER = "compute_sanitizer"
"""Part of the names of the tests that take long: they come last."""


def main() -> int:
    """Run it; the exit code."""
    arguments = parse()
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    sys.path.insert(0, str(ROOT))
    from gpu_check_report import describe
    from gpu_check_steps import Record, run_steps

    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    record = Record(arguments.json, arguments.limit)
    steps = [step for step in all_steps() if step.name == "environment" or step.name.startswith(tuple(arguments.only))]
    signal = run_steps(steps, record)
    print(describe(record))
    if signal is not None:
        return 128 + signal
    if record.outcomes["environment"].status == "skipped":
        print(f"error: {record.outcomes['environment'].reason}; run this on a machine with one", file=sys.stderr)
        return 4
    return int(record.failed)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Run everything that needs a GPU.", allow_abbrev=False)
    parser.add_argument("--limit", type=seconds, default=540, help="seconds for all of it (default: %(default)s)")
    parser.add_argument("--json", type=Path, help=f"write the results here (default: {RESULTS}, {PARTIAL} with --only)")
    names = ", ".join(step for step in ("build", "tests", "kernels", *NETWORKS, "sanitizer"))
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="STEP", help=f"only steps whose names begin so: {names}"
    )
    arguments = parser.parse_args()
    if arguments.json is None:
        arguments.json = ROOT / (RESULTS if arguments.only == [""] else PARTIAL)
    return arguments


def seconds(text: str) -> float:
    """A positive number of seconds."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError
    return value


def all_steps() -> list:
    """The most valuable first."""
    from gpu_check_steps import Step

    def step(name: str, kind: str, limit: float, *arguments: str, needs: str = "environment") -> Step:
        result = FOLDER / f"{name.replace(' ', '-')}.json"
        child = Path(__file__).with_name("gpu_check_child.py")
        return Step(name, [sys.executable, str(child), kind, str(result), *arguments], limit, result, needs)

    steps = [
        step("environment", "environment", 60),
        step("build", "build", 180, str(FOLDER / "environment.json")),
        step("tests", "tests", 150, "-k", f"not {SANITIZER}"),
        step("kernels", "kernels", 100),
    ]
    for network in NETWORKS:
        for contender, limit in CONTENDERS.items():
            needs = "environment" if network == NETWORKS[0] else f"{NETWORKS[0]} {contender}"
            name = f"{network} {contender}"
            steps.append(step(name, "contender", limit, network, contender, str(FOLDER), needs=needs))
    return [*steps, step("sanitizer", "tests", 200, "-k", SANITIZER)]


if __name__ == "__main__":
    sys.exit(main())
