"""What a measurement on a CPU ran on, to be read with its figures."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from yolact.runtime.bench.machine import describe_cpu, read_versions


def describe_machine(threads: int, *packages: str) -> dict[str, str]:
    """Processor, how many threads a benchmark uses of it, and versions; of `packages` those that are installed."""
    cpu = describe_cpu()
    installed = {package: _version(package) for package in ("onnxruntime", "torch", *packages)}
    return {
        "cpu": f"{cpu['model'] or platform.machine()}, {cpu['usable_cores']} cores, {threads} threads used",
        **read_versions(),
        **{package: text for package, text in installed.items() if text},
    }


def _version(package: str) -> str | None:
    """Of a distribution, None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
