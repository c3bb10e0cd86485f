"""Everything that needs a GPU, in one call, for a machine that may be there only once. Not yet run on a GPU.

Needs a Python with PyTorch's CUDA build, and nothing installed: the repository is imported from where it lies. Any
other missing dependency (OpenCV, ONNX, TensorRT, nvcc, ...) skips a part and ends none. Each step is a process with a
time limit of its own; the most valuable come first. The JSON file is written after each step. The tables are printed at
the end, also if a signal or the limit ends the run early.

    python3 -m benchmarks.gpu.check [--time-limit 540] [--json FILE] [--only STEP ...] [--resume]

A call replaces the results of earlier calls in the file. With `--only` it replaces the named steps alone. With
`--resume` it runs only the steps that the file does not have as done, so several short calls add up to a whole one.

Exit codes: 0 no step failed, 1 a step failed or ran out of time, 2 wrong usage, 4 there is no CUDA GPU, 130 and 143
interrupted and terminated. This file and what it imports need the standard library alone: a bare machine may not even
have click and tqdm.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu.check.plan import TIME_LIMIT, plan_steps
from benchmarks.gpu.check.record import Record
from benchmarks.gpu.check.report import describe
from benchmarks.gpu.check.steps import Step, run_steps
from benchmarks.gpu.nvidia_smi import ask_nvidia_smi
from yolact.runtime.errors import UsageError, YolactError
from yolact.runtime.output_files import check_output

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "build" / "gpu_check"
RESULTS = ROOT / "benchmarks" / "results" / "gpu_check.json"


def main() -> int:
    """Run the check; return its exit code."""
    steps = plan_steps(FOLDER)
    parser = make_parser(steps)
    arguments = parser.parse_args()
    record = Record(arguments.json, arguments.time_limit, order=[step.name for step in steps])
    try:
        check_output("--json", arguments.json, ())
        if arguments.only or arguments.resume:
            record.keep()
            check_same_gpu(record)
        chosen = choose_steps(steps, arguments.only, record if arguments.resume else None)
    except YolactError as error:
        parser.error(str(error))
    prepare_folder(keep=arguments.resume)
    signal = run_steps(chosen, record)
    print(describe(record))
    if signal is not None:
        return 128 + signal
    if record.outcomes["environment"].status == "skipped":
        print(f"error: {record.outcomes['environment'].reason}; run this on a machine with one", file=sys.stderr)
        return 4
    return int(record.failed)


def choose_steps(steps: Sequence[Step], only: Sequence[str], resumed: Record | None) -> list[Step]:
    """The steps of this call.

    Args:
        steps: all there are.
        only: beginnings of the names of the requested steps; empty for all steps that run unasked.
        resumed: the record of earlier calls, whose finished steps are left out; None to run them again.

    Raises UsageError if no name has one of these beginnings.
    """
    for beginning in only:
        if not any(step.name.startswith(beginning) for step in steps):
            names = ", ".join(step.name for step in steps)
            raise UsageError(f"--only: no step's name begins with {beginning!r}; the steps are {names}")
    chosen = [step for step in steps if (step.name.startswith(tuple(only)) if only else not step.asked_only)]
    if resumed is not None:
        chosen = [step for step in chosen if step.always or not resumed.is_done(step.name)]
    first = steps[0]  # the environment, which all others need
    return chosen if first in chosen else [first, *chosen]


def check_same_gpu(record: Record) -> None:
    """Raise UsageError if the results to continue from are of another GPU than this machine's."""
    environment = record.kept.get("environment")
    found = environment.result if environment else None
    before = found.get("nvidia_smi", {}).get("name") if isinstance(found, dict) else None
    now = ask_nvidia_smi("name").get("name")
    if before and now and before != now:
        raise UsageError(f"{record.path} has results of {before}, but this is {now}; give another --json")


def prepare_folder(*, keep: bool) -> None:
    """Make the folder of the steps' files, and empty it unless its files are to be kept."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)  # the processes of the steps import the repository from there
    if not keep:
        shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)


def make_parser(steps: Sequence[Step]) -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu.check", description="Run everything that needs a GPU.", allow_abbrev=False
    )
    parser.add_argument(
        "--time-limit", type=seconds, default=TIME_LIMIT, help="seconds for all of it (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, default=RESULTS, help="keep the results here (default: %(default)s)")
    unasked = ", ".join(step.name for step in steps if not step.asked_only)
    asked = ", ".join(step.name for step in steps if step.asked_only)
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="STEP",
        help=f"only steps whose names begin so: {unasked}; and those that run only when they are asked for: {asked}",
    )
    parser.add_argument(
        "--resume", action="store_true", help="leave out the steps that the file has as done, and keep their results"
    )
    return parser


def seconds(text: str) -> float:
    """The number of seconds in a text; it has to be positive."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError
    return value


if __name__ == "__main__":
    sys.exit(main())
