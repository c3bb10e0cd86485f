"""One step of `gpu_check.py`, in a process of its own: what is missing on a machine skips a step and ends none.

    python benchmarks/gpu_check_child.py STEP RESULT.json [ARGUMENT ...]

Exit codes: 0 done, 1 failed, 77 skipped, with the reason as a line of output.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SKIPPED = 77
"""Exit code of what did not run for lack of something, as automake and meson have it."""

STEPS = {
    "environment": "gpu_check_machine.examine",
    "build": "gpu_check_machine.build_kernels",
    "tests": "gpu_check_tests.run_tests",
    "kernels": "gpu_check_machine.time_kernels",
    "contender": "gpu_end_to_end.contend",
}
"""Functions of the modules beside this one; each takes the file for its result and the arguments."""

OPTIONAL = {
    *("click", "cuda", "cv2", "numpy", "onnx", "onnxruntime", "polygraphy", "pycocotools", "pytest", "tensorrt"),
    *("tensorrt_rtx", "torch", "tqdm"),
}
"""What a bare machine may lack. Other modules that are not found are mistakes."""


class Skip(Exception):
    """Something is not there; the message is a sentence that says what."""


def write_result(path: Path, values: Any) -> None:
    """As JSON, in one step, so that whoever is killed leaves what was there."""
    from yolact.runtime.output_files import replacing

    with replacing(path) as partial:
        partial.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def missing_module(name: str | None) -> str:
    """The sentence for a module that was not found; empty where it should have been."""
    top = (name or "").partition(".")[0]
    return f"the Python module {top} is not installed" if top in OPTIONAL else ""


def main(arguments: Sequence[str]) -> int:
    """Run the step; its exit code."""
    from gpu_check_child import Skip  # this file is __main__ as well, whose Skip is another

    from yolact.runtime.errors import YolactError

    step, result, *rest = arguments
    module, function = STEPS[step].split(".")
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
