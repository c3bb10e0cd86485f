"""The steps of the check in order of their value, each with its time limit.

The limits of the steps that run unasked fit into the time limit of a call. Steps that compile for long come last, as
they gain most from the seconds that the steps before them did not need.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.gpu.check.steps import Step
from yolact.runtime.cuda.built_libraries import DESCRIPTION, LIBRARY_FOLDER

TIME_LIMIT = 540
"""Seconds for a call, as long as nothing else is asked for."""

NETWORKS = ("yolact_resnet50", "yolact_base")
"""The first is measured unasked."""

DETECTORS = {"recorded": 30, "eager": 30, "eager-fp32": 25, "ort-cuda": 25}
COMPILING_DETECTORS = {
    "tensorrt": 70,
    "tensorrt-cpu": 15,  # takes the plans of the step before it
    "tensorrt-rtx": 35,
    "tensorrt-rtx-cpu": 10,
    "ort-tensorrt": 50,
}
"""Names in `detectors.measuring.CONTENDERS`, in order of their value, and the seconds that are kept for each."""

SANITIZER = "compute_sanitizer"
FEW = f"{SANITIZER} and few"
"""Expressions of pytest for the tests that take long, and for those of them that need not."""


def plan_steps(folder: Path) -> list[Step]:
    """All steps of the check; each leaves its result in the folder."""

    def step(name: str, kind: str, limit: float, *arguments: str, needs: str = "environment", **more: bool) -> Step:
        result = folder / f"{name.replace(' ', '-')}.json"
        command = [sys.executable, "-m", "benchmarks.gpu.check.child", kind, str(result), *arguments]
        return Step(name, command, limit, result, needs, **more)

    def detectors(limits: dict[str, int]) -> list[Step]:
        return [
            step(f"{network} {name}", "detector", limit, network, name, str(folder), asked_only=network != NETWORKS[0])
            for network in NETWORKS
            for name, limit in limits.items()
        ]

    unbuilt = not (LIBRARY_FOLDER / DESCRIPTION).is_file()
    return [
        step("environment", "environment", 30, needs="", always=True),
        step("build", "build", 60, str(folder / "environment.json"), always=unbuilt),
        step("tests", "tests", 60, "-k", f"not {SANITIZER}"),
        step("racecheck", "tests", 40, "-k", FEW),
        step("kernels", "kernels", 35),
        *detectors(DETECTORS),
        step("compiled kernels", "compiled", 20),
        *detectors(COMPILING_DETECTORS),
        step("sanitizer", "tests", 240, "-k", f"{SANITIZER} and not few", asked_only=True),
    ]
