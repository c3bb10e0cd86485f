"""One step of the check, in a process of its own: a missing dependency skips the step and ends no other.

    python -m benchmarks.gpu.check.child STEP RESULT.json [ARGUMENT ...]

Exit codes: 0 done, 1 failed, 77 skipped, with the reason as a line of output.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu.check.skipping import SKIPPED, Skip, missing_module
from yolact.runtime.errors import YolactError

STEPS = {
    "environment": "benchmarks.gpu.check.machine:examine",
    "build": "benchmarks.gpu.check.machine:build_kernels",
    "tests": "benchmarks.gpu.check.marked_tests:run_tests",
    "kernels": "benchmarks.gpu.check.machine:time_kernels",
    "compiled": "benchmarks.gpu.check.machine:time_beside_compiled",
    "detector": "benchmarks.gpu.detectors.step:run_contender",
}
"""The function of each step; it takes the file for its result and the arguments."""


def main(arguments: Sequence[str]) -> int:
    """Run the step; return its exit code."""
    step, result, *rest = arguments
    module, function = STEPS[step].split(":")
    try:
        getattr(importlib.import_module(module), function)(Path(result), *rest)
    except Skip as skip:
        return _end(f"skipped: {skip}", SKIPPED)
    except YolactError as error:
        return _end(f"error: {error}", 1)
    except ModuleNotFoundError as error:
        if sentence := missing_module(error.name):
            return _end(f"skipped: {sentence}", SKIPPED)
        raise
    return 0


def _end(line: str, code: int) -> int:
    print(" ".join(line.split()), flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
