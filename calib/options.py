"""The options of INT8: how to calibrate, on which images, and for which platform and parts of the network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from yolact.calib.quantization_points import Platform
from yolact.calib.ranges import Algorithm
from yolact.runtime.errors import UsageError

MAX_AP_DROP = 0.5
"""Points of mask AP that INT8 may cost unless the user says otherwise."""


@dataclass(frozen=True)
class CalibrationOptions:
    """How to calibrate.

    Attributes:
        algorithm: how ranges are chosen, see `ranges.find_range`.
        batch: images per run of the network; the memory for all activations grows with it.
        cache: file that keeps the result for the next time, with the progress beside it; None to keep neither.
    """

    algorithm: Algorithm = "percentile"
    batch: int = 1
    cache: Path | None = None


@dataclass(frozen=True)
class Int8Request:
    """The user's request for INT8.

    Attributes:
        data: folder of calibration images, None where it was not given.
        limit: most images to use from it.
        options: of the calibration.
        platform: the platform that the file is for, None to choose by the output.
        modules: parts of the network to quantise, None for the platform's default.
        exclude: layers to leave out.
        given: the options that were on the command line.
    """

    data: Path | None
    limit: int
    options: CalibrationOptions
    platform: Platform | None
    modules: tuple[str, ...] | None
    exclude: tuple[str, ...]
    given: tuple[str, ...]


def progress_file(cache: Path) -> Path:
    """The file for the progress of a calibration whose ranges are written to `cache`."""
    return cache.with_name(f"{cache.name}.partial")


def require_data(request: Int8Request) -> Path:
    """The folder of calibration images. Raises UsageError where it was not given."""
    if request.data is None:
        raise UsageError("INT8 needs images to calibrate on: give --calib-data a folder of some hundred typical ones")
    return request.data
