"""What benchmarks write beside their numbers, and how they write them."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click
import cv2

from yolact.runtime.bench.machine import describe_cpu
from yolact.runtime.errors import UsageError
from yolact.runtime.output_files import replacing


def describe_machine(threads: int, *packages: str) -> dict[str, str]:
    """Hardware and versions, to be read with the figures; of `packages` those that are installed."""
    libraries = ("numpy", "onnxruntime", "torch", *packages)
    found = {package: installed_version(package) for package in libraries}
    return {
        "cpu": f"{describe_cpu()['model'] or platform.machine()}, {os.cpu_count()} cores, {threads} threads used",
        "python": platform.python_version(),
        **{package: text for package, text in found.items() if text},
        "opencv": cv2.__version__,
    }


def installed_version(package: str) -> str | None:
    """Of a distribution, None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def write_figures(path: Path, figures: dict[str, Any]) -> None:
    """As JSON, whole or not at all. Raises ClickException where that cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(figures, indent=1) + "\n")
    except (OSError, UsageError) as error:
        raise click.ClickException(f"the figures cannot be written to {path}: {error}") from error
