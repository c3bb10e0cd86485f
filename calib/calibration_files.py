"""The files of a calibration: the cache of its ranges, and the progress of one that was interrupted.

Both hold the key of what they were made from, so that neither is taken for another network or other images.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from yolact.calib.activation_statistics import TensorStatistics, ValueRange
from yolact.calib.options import progress_file
from yolact.runtime.errors import UsageError, YolactError
from yolact.runtime.json_text import from_json, to_json
from yolact.runtime.output_files import write_output

_SCHEMA = 1
_FIELDS = ("limits", "counts", "width")


@dataclass(frozen=True)
class CalibrationKey:
    """What the ranges of a calibration depend on; a cache with another key is stale.

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
    """A calibration under way.

    Attributes:
        done: images seen.
        statistics: of every activation.
    """

    done: int
    statistics: dict[str, TensorStatistics]


def read_ranges(cache: Path, key: CalibrationKey) -> dict[str, ValueRange] | None:
    """Ranges by tensor, None where there is no such file.

    Raises UsageError where its key is another one, YolactError where it cannot be read.
    """
    try:
        content = from_json(cache.read_text())
        found = content["key"]
        ranges = {name: ValueRange(*map(float, pair)) for name, pair in content["ranges"].items()}
        if (
            content["schema"] != _SCHEMA
            or found.keys() != asdict(key).keys()
            or not np.isfinite([*ranges.values()]).all()
        ):
            raise ValueError
    except FileNotFoundError:
        return None
    except OSError as error:
        raise YolactError(f"--calib-cache {cache} cannot be read: {error.strerror}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
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


def write_ranges(cache: Path, key: CalibrationKey, ranges: Mapping[str, ValueRange]) -> None:
    """Write the cache, whole or not at all, and drop the progress. Raises YolactError where that fails."""
    content = {"schema": _SCHEMA, "key": asdict(key), "ranges": ranges}
    write_output(cache, (to_json(content, indent=1) + "\n").encode())
    progress_file(cache).unlink(missing_ok=True)


def read_progress(cache: Path, key: CalibrationKey) -> Progress | None:
    """The progress that `write_progress` wrote for the same key.

    None where there is none, or it is damaged or of another key: without it a calibration only takes longer.
    """
    try:
        with np.load(progress_file(cache)) as stored:
            if str(stored["key"]) != to_json(asdict(key)):
                return None
            limits, counts, widths = (stored[field] for field in _FIELDS)
            statistics = {
                str(name): TensorStatistics(ValueRange(*map(float, limits[i])), counts[i].copy(), float(widths[i]))
                for i, name in enumerate(stored["names"])
            }
            return Progress(int(stored["done"]), statistics)
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def write_progress(cache: Path, key: CalibrationKey, progress: Progress) -> None:
    """Write how far the calibration is, whole or not at all. Raises YolactError where that fails."""
    all_statistics = progress.statistics.values()
    content = io.BytesIO()
    arrays = {field: np.array([getattr(one, field) for one in all_statistics]) for field in _FIELDS}
    arrays |= {"key": np.array(to_json(asdict(key))), "done": np.array(progress.done)}
    arrays["names"] = np.array(list(progress.statistics))
    np.savez(content, allow_pickle=False, **arrays)
    write_output(progress_file(cache), content.getvalue())
