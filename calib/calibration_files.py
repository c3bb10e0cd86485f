"""The files of a calibration: the cache of its ranges, and the progress of an interrupted calibration.

Both hold a key of the network, the images and the settings they were made from, so neither is used for others.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite, nan
from pathlib import Path
from typing import NamedTuple

import numpy as np

from yolact.calib.activation_statistics import BINS, TensorStatistics, ValueRange
from yolact.calib.options import progress_file
from yolact.runtime.errors import UsageError, YolactError
from yolact.runtime.fields import exactly, is_number, shown, whole
from yolact.runtime.json_text import from_json, to_json
from yolact.runtime.output_files import write_output

_SCHEMA = 1

MAX_SIZE = 64 << 20
"""Most bytes of a cache: that of a network of a thousand layers has 100 kB."""

MAX_VALUE = float(np.finfo(np.float32).max)
"""Activations are float32."""

_FIELDS = ("limits", "counts", "width")


@dataclass(frozen=True)
class CalibrationKey:
    """Everything that the ranges of a calibration depend on; a cache with another key is stale.

    Attributes:
        network: SHA-256 of the float32 graph, weights included.
        preprocessing: how images become network inputs.
        images: SHA-256 of the names and contents of the files.
        algorithm: how ranges are chosen.
    """

    network: str
    preprocessing: str
    images: str
    algorithm: str


class Progress(NamedTuple):
    """The state of an unfinished calibration.

    Attributes:
        done: number of images seen.
        statistics: of every activation.
    """

    done: int
    statistics: dict[str, TensorStatistics]


def read_ranges(cache: Path, key: CalibrationKey) -> dict[str, ValueRange] | None:
    """Ranges by tensor, None where there is no such file.

    Raises UsageError where the file has another key, YolactError where it cannot be read.
    """
    try:
        if cache.stat().st_size > MAX_SIZE:
            raise ValueError(f"it has more than {MAX_SIZE} bytes")
        content = exactly("the cache", from_json(cache.read_bytes()), ("schema", "key", "ranges"))
        whole("schema", content["schema"], _SCHEMA, _SCHEMA)
        found = exactly("the key", content["key"], tuple(asdict(key)))
        if not isinstance(content["ranges"], dict):
            raise ValueError("its ranges are no JSON object")
        ranges = {name: _range(name, limits) for name, limits in content["ranges"].items()}
    except FileNotFoundError:
        return None
    except OSError as error:
        raise YolactError(f"--calib-cache {cache} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise YolactError(
            f"--calib-cache {cache} is no calibration cache, or a damaged one ({error}); name another file"
        ) from error
    others = [name for name, value in asdict(key).items() if found[name] != value]
    if others:
        raise UsageError(
            f"--calib-cache {cache} is stale, made with another {', another '.join(others)}; delete it to calibrate "
            "again, or name another file"
        )
    return ranges


def _range(name: str, limits: object) -> ValueRange:
    """The range of a tensor; null stands for a range that is not finite. Raises ValueError for an impossible range."""
    if limits is None:
        return ValueRange(nan, nan)
    if not isinstance(limits, list) or len(limits) != 2 or not all(map(is_number, limits)):
        raise ValueError(f"the range of {shown(name)} is {shown(limits)}, expected two numbers")
    low, high = limits
    if not -MAX_VALUE <= low <= 0 <= high <= MAX_VALUE:
        raise ValueError(
            f"the range of {shown(name)} is {shown(limits)}, expected two float32 numbers, the first at most 0 and the "
            "second at least 0"
        )
    return ValueRange(float(low), float(high))


def write_ranges(cache: Path, key: CalibrationKey, ranges: Mapping[str, ValueRange]) -> None:
    """Write the cache, whole or not at all, and delete the progress. Raises YolactError where that fails."""
    known = {name: limits if all(map(isfinite, limits)) else None for name, limits in ranges.items()}
    content = {"schema": _SCHEMA, "key": asdict(key), "ranges": known}
    write_output(cache, (to_json(content, indent=1) + "\n").encode())
    progress_file(cache).unlink(missing_ok=True)


def read_progress(cache: Path, key: CalibrationKey) -> Progress | None:
    """The progress that `write_progress` wrote for the same key.

    None where it is missing, damaged or has another key: without it, a calibration only takes longer.
    """
    path = progress_file(cache)
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
        if sum(part.file_size for part in parts) > path.stat().st_size:
            return None  # compressed, which it never is
        with np.load(path) as stored:
            if str(stored["key"]) != to_json(asdict(key)):
                return None
            done, names = int(stored["done"]), list(map(str, stored["names"]))
            limits, counts, widths = (np.asarray(stored[field], np.float64) for field in _FIELDS)
    except Exception:  # zipfile and NumPy raise exceptions of any kind for damaged files
        return None
    shapes = ((len(names), 2), (len(names), BINS), (len(names),))
    if done < 0 or tuple(array.shape for array in (limits, counts, widths)) != shapes:
        return None
    if not (np.isfinite(counts).all() and np.isfinite(widths).all() and (counts >= 0).all() and (widths >= 0).all()):
        return None
    if (limits[:, 0] > limits[:, 1]).any():  # they may be NaN
        return None
    statistics = {
        name: TensorStatistics(ValueRange(*map(float, limits[i])), counts[i].copy(), float(widths[i]))
        for i, name in enumerate(names)
    }
    return Progress(done, statistics)


def write_progress(cache: Path, key: CalibrationKey, progress: Progress) -> None:
    """Write the progress of the calibration, whole or not at all. Raises YolactError where that fails."""
    all_statistics = progress.statistics.values()
    content = io.BytesIO()
    arrays = {field: np.array([getattr(one, field) for one in all_statistics]) for field in _FIELDS}
    arrays |= {"key": np.array(to_json(asdict(key))), "done": np.array(progress.done)}
    arrays["names"] = np.array(list(progress.statistics))
    np.savez(content, allow_pickle=False, **arrays)
    write_output(progress_file(cache), content.getvalue())
