"""Loads OpenVINO, and only if one of its devices is used."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from yolact.runtime.errors import UsageError
from yolact.runtime.packages import how_to_install
from yolact.runtime.wording import one_line

OLDEST = (2024, 6)
"""The first release that the tests were run with."""

_REPORTER = "openvino_telemetry"


@cache
def load_openvino() -> Any:
    """The module `openvino`. Raises UsageError where it is missing, does not load, or is too old."""
    try:
        with _without_report():
            import openvino
    except ModuleNotFoundError as error:
        missing = "OpenVINO" if error.name == "openvino" else error.name
        raise UsageError(
            f"{missing} is not installed, which --device openvino needs; {how_to_install('openvino')}"
        ) from None
    except (ImportError, OSError) as error:
        raise UsageError(f"OpenVINO does not load ({one_line(error)}); {how_to_install('openvino')}") from error
    version = version_of(openvino)
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST:
        raise UsageError(
            f"--device openvino needs OpenVINO {OLDEST[0]}.{OLDEST[1]} or later, got {version or 'an older one'}; "
            "update it with: pip install -U openvino"
        )
    return openvino


@contextmanager
def _without_report() -> Iterator[None]:
    """Hide a module while OpenVINO is imported. At each import it would send OpenVINO's makers an event and leave an
    identity of the machine in the home folder. OpenVINO has no setting against this; it replaces a missing module."""
    hide = not {"openvino", _REPORTER} & sys.modules.keys()
    if hide:
        sys.modules[_REPORTER] = None  # type: ignore[assignment]  # Python then takes the module for missing
    try:
        yield
    finally:
        if hide:
            del sys.modules[_REPORTER]


def version_of(openvino: Any) -> str:
    """The release, such as ``2026.4.1``; an empty text if the module names none."""
    return str(getattr(openvino, "__version__", "")).partition("-")[0]


@cache
def core() -> Any:
    """OpenVINO's `Core`, the only one of the process. Raises as `load_openvino`.

    It lives as long as the process. OpenVINO's plugin for the CPU gives the thread that makes it a stack for handlers
    of signals, and puts the one before back in the end. Of two that end in the order in which they began, the second
    puts back what the first has freed (2026.4.1), and the next signal, such as Ctrl-C, ends the process with a
    segmentation fault.
    """
    return load_openvino().Core()


def software() -> str:
    """Name and version for people: ``OpenVINO 2026.4.1``. Raises as `load_openvino`."""
    return f"OpenVINO {version_of(load_openvino())}"


def reason_of(error: Exception) -> str:
    """OpenVINO's message about a failure, in one line and without the lines that name places in its sources."""
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("Exception from ")]
    return one_line(" ".join(lines)) or type(error).__name__


def check_device(name: str) -> None:
    """Raise UsageError where OpenVINO has no device of this name here. ``GPU`` is the first one of several."""
    here = core().available_devices
    if not any(device == name or device.startswith(f"{name}.") for device in here):
        raise UsageError(
            f"{software()} has no device {name} here, only {', '.join(here)}; give --device openvino for the CPU, or "
            "install the device's driver"
        )
