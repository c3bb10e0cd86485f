"""The machine that a measurement ran on, to be read with its figures."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from yolact.runtime.bench.machine import describe_cpu, read_versions


def describe_machine(threads: int, *packages: str) -> dict[str, str]:
    """The processor, the threads that a benchmark uses, and versions; of `packages` only those that are installed."""
    cpu = describe_cpu()
    installed = {package: _version(package) for package in ("onnxruntime", "torch", *packages)}
    return {
        "cpu": f"{cpu['model'] or platform.machine()}, {cpu['usable_cores']} cores, {threads} threads used",
        **read_versions(),
        **{package: text for package, text in installed.items() if text},
    }


def _version(package: str) -> str | None:
    """The version of a distribution, None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
