"""What a user can ask of INT8: how to calibrate, on which images, for which platform and parts of the network."""

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
        batch: images per run of the network; memory for all activations grows with it.
        cache: file that keeps the result for the next time, and beside it the progress; None for neither.
    """

    algorithm: Algorithm = "percentile"
    batch: int = 1
    cache: Path | None = None


@dataclass(frozen=True)
class Int8Request:
    """What the user asked of INT8.

    Attributes:
        data: folder of calibration images, None where it was not given.
        limit: take at most so many images from it.
        options: of the calibration.
        platform: what the file is for, None to go by the output.
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
    """Where the progress of a calibration is kept whose ranges go into `cache`."""
    return cache.with_name(f"{cache.name}.partial")


def require_data(request: Int8Request) -> Path:
    """The folder of calibration images. Raises UsageError where it was not given."""
    if request.data is None:
        raise UsageError("INT8 needs images to calibrate on: give --calib-data a folder of some hundred typical ones")
    return request.data
