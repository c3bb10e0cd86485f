"""Everything that needs a GPU, in one call, for a machine that may be there only once. Not yet run on a GPU.

Needs a Python with PyTorch's CUDA build, and nothing installed: the repository is imported from where it lies. What
else is missing (OpenCV, ONNX, TensorRT, nvcc, ...) skips a part and ends none. Each step is a process with a time limit
of its own; the most valuable come first. The JSON file is written after each, the tables are printed at the end, also
where a signal or the limit ends the run early.

    python3 -m benchmarks.gpu.check [--time-limit 540] [--json benchmarks/results/gpu_check.json] [--only STEP ...]

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

from benchmarks.gpu.check.plan import GROUPS, plan_steps
from benchmarks.gpu.check.report import describe
from benchmarks.gpu.check.steps import Record, run_steps
from yolact.runtime.errors import YolactError
from yolact.runtime.output_files import check_output

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "build" / "gpu_check"
RESULTS, PARTIAL = Path("benchmarks/results/gpu_check.json"), Path("build/gpu_check.json")


def main() -> int:
    """Run the check; return its exit code."""
    arguments = parse()
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)  # the processes of the steps import the repository from there
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    record = Record(arguments.json, arguments.time_limit)
    asked = ("environment", *arguments.only)
    signal = run_steps([step for step in plan_steps(FOLDER) if step.name.startswith(asked)], record)
    print(describe(record))
    if signal is not None:
        return 128 + signal
    if record.outcomes["environment"].status == "skipped":
        print(f"error: {record.outcomes['environment'].reason}; run this on a machine with one", file=sys.stderr)
        return 4
    return int(record.failed)


def parse() -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu.check", description="Run everything that needs a GPU.", allow_abbrev=False
    )
    parser.add_argument("--time-limit", type=seconds, default=540, help="seconds for all of it (default: %(default)s)")
    parser.add_argument("--json", type=Path, help=f"write the results here (default: {RESULTS}, {PARTIAL} with --only)")
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="STEP", help=f"only steps whose names begin so: {', '.join(GROUPS)}"
    )
    arguments = parser.parse_args()
    if arguments.json is None:
        arguments.json = ROOT / (RESULTS if arguments.only == [""] else PARTIAL)
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
    try:
        check_output("--json", arguments.json, ())
    except YolactError as error:
        parser.error(str(error))
    return arguments


def seconds(text: str) -> float:
    """The number of seconds that a text means, which has to be positive."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError
    return value


if __name__ == "__main__":
    sys.exit(main())
