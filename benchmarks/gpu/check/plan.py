"""The steps of the check in order of their value, each with its time limit."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.gpu.check.steps import Step

NETWORKS = ("yolact_resnet50", "yolact_base")
DETECTORS = {
    "recorded": 75,
    "eager": 75,
    "eager-fp32": 75,
    "tensorrt": 150,
    "tensorrt-rtx": 120,
    "ort-cuda": 75,
    "ort-tensorrt": 150,
}
"""Names in `detectors.measuring.CONTENDERS`, in order of their value, and the seconds that each may take a network."""

SANITIZER = "compute_sanitizer"
"""Part of the names of the tests that take long: they come last."""

GROUPS = ("build", "tests", "kernels", *NETWORKS, "sanitizer")
"""Beginnings of the names of all steps but the first."""


def plan_steps(folder: Path) -> list[Step]:
    """All steps of the check; each leaves its result in the folder."""

    def step(name: str, kind: str, limit: float, *arguments: str, needs: str = "environment") -> Step:
        result = folder / f"{name.replace(' ', '-')}.json"
        command = [sys.executable, "-m", "benchmarks.gpu.check.child", kind, str(result), *arguments]
        return Step(name, command, limit, result, needs)

    steps = [
        step("environment", "environment", 60),
        step("build", "build", 180, str(folder / "environment.json")),
        step("tests", "tests", 150, "-k", f"not {SANITIZER}"),
        step("kernels", "kernels", 100),
    ]
    for network in NETWORKS:
        for detector, limit in DETECTORS.items():
            needs = "environment" if network == NETWORKS[0] else f"{NETWORKS[0]} {detector}"
            name = f"{network} {detector}"
            steps.append(step(name, "detector", limit, network, detector, str(folder), needs=needs))
    return [*steps, step("sanitizer", "tests", 200, "-k", SANITIZER)]
