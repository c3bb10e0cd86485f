"""A worker process with one detector, which does parts of a job, one after the other."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yolact
from yolact.batch.attempts import attempt
from yolact.batch.parquet_images import read_rows
from yolact.batch.part_files import OutputFailed, PartSummary, write_part
from yolact.batch.places import Place
from yolact.batch.plan import Part, Plan, PlannedEntry
from yolact.batch.rows import ResultRows
from yolact.runtime.engine import DEFAULT_OPTIONS, EngineOptions
from yolact.runtime.errors import EngineError, ImageError, ImageMemoryError, YolactError
from yolact.runtime.file_digest import sha256_of
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.decoding import decode_image
from yolact.runtime.images.image_files import read_image_file
from yolact.runtime.results import MaskFormat
from yolact.runtime.wording import one_line

if TYPE_CHECKING:
    from yolact.runtime.detector import Detector

_TRIES = 3
_SECONDS_BETWEEN = 1.0
"""Seconds before the first new attempt: file servers often answer a moment later."""

_GPU_BATCH = 8


@dataclass(frozen=True)
class WorkerSettings:
    """The settings that every worker of a job gets. They are pickled.

    Attributes:
        engine: the engine file, under the same path on every machine.
        engine_sha256: of its contents.
        source: a place in the file system of the images.
        output: folder of the job.
        masks, score_threshold, batch_size, column: see `BatchRequest`.
        open_options: how the engine is opened.
        version: version of this toolkit on the machine that began the job.
    """

    engine: Path
    engine_sha256: str
    source: Place
    output: Place
    masks: MaskFormat = "rle"
    score_threshold: float = 0.0
    batch_size: int | None = None
    column: str | None = None
    open_options: EngineOptions = DEFAULT_OPTIONS
    version: str = yolact.__version__


class Outcome(NamedTuple):
    """The outcome of a part.

    Attributes:
        number: of the part.
        summary: of a part that is done, else None.
        failure: the reason why the part is not done, else empty.
        exit_code: of a failure that every other part would have too, else 0.
    """

    number: int
    summary: PartSummary | None = None
    failure: str = ""
    exit_code: int = 0


class PartWorker:
    """Does parts of a job with a detector that stays open. A failure is an outcome, never an exception."""

    def __init__(self, settings: WorkerSettings) -> None:
        """Open the engine and the plan. If that fails, the failure is the outcome of every part."""
        self._settings, self._refusal = settings, Outcome(-1)
        try:
            self._detector = _open(settings)
            self._plan = Plan.open(settings.output)
        except YolactError as error:
            self._refusal = Outcome(-1, failure=str(error), exit_code=error.exit_code)
        except OSError as error:
            self._refusal = Outcome(-1, failure=one_line(error), exit_code=1)

    def do(self, number: int) -> Outcome:
        """Do one part and write its file."""
        if self._refusal.failure:
            return self._refusal._replace(number=number)
        try:
            with attempt(self._settings.output, number):
                return Outcome(number, self._do(self._plan.part(number)))
        except (YolactError, MemoryError) as error:
            code = error.exit_code if isinstance(error, (EngineError, OutputFailed)) else 0
            return Outcome(number, failure=str(error) or "there is not enough memory", exit_code=code)
        except OSError as error:
            return Outcome(number, failure=one_line(error))

    def _do(self, part: Part) -> PartSummary:
        settings = self._settings
        rows = detect_part(self._detector, part, settings)
        summary = PartSummary(
            part.number, part.fingerprint, settings.engine_sha256, rows.images, rows.unreadable, rows.detections
        )
        write_part(settings.output, summary, rows.table())
        return summary


@dataclass
class _Waiting:
    """An image that was given to the detector and not yet returned."""

    source: str
    image_id: int | None
    read: Any
    sha256: str | None = field(default=None)

    def load(self) -> Image:
        """Its pixels, (H, W, 3) uint8 BGR. Raises ImageError, and OSError where a server gave no answer."""
        data = self.read()
        if data is None:
            raise ImageError(f"{self.source}: expected the bytes of an image, got null")
        self.sha256 = hashlib.sha256(data).hexdigest()
        return decode_image(data, self.source)


def detect_part(detector: Detector, part: Part, settings: WorkerSettings) -> ResultRows:
    """Detect in all images of a part, with a few in memory at a time.

    Raises:
        OSError, ImageMemoryError, DatasetError: images could not be read for a reason that does not lie in them.
        EngineError: the engine failed.
    """
    rows, waiting = ResultRows(settings.engine_sha256, settings.masks), deque[_Waiting]()

    def begin() -> Iterator[Any]:
        for image in (image for entry in part.entries for image in _images(entry, settings)):
            waiting.append(image)
            yield image.load

    with detector.stream(
        begin(),
        batch_size=settings.batch_size or _batch_size(detector),
        score_threshold=settings.score_threshold,  # which ranks them, too
    ) as stream:
        while True:
            try:
                found = next(stream)
            except StopIteration:
                return rows
            except ImageMemoryError:
                raise
            except ImageError as error:
                image = waiting.popleft()
                rows.add_error(image.source, image.image_id, image.sha256, str(error))
            else:
                image = waiting.popleft()
                assert image.sha256 is not None
                rows.add(image.source, image.image_id, image.sha256, found)


def _images(entry: PlannedEntry, settings: WorkerSettings) -> Iterator[_Waiting]:
    file = settings.source.at(entry.path)
    if entry.first is None:
        yield _Waiting(file.name, entry.image_id, partial(_read, file))
        return
    assert settings.column is not None
    for row, data in enumerate(read_rows(file, settings.column, entry.first, entry.images), entry.first):
        yield _Waiting(f"{file.name}#{row}", None, partial(_given, data))


def _given(data: bytes | None) -> bytes | None:
    return data


def _read(file: Place) -> bytes:
    """The contents of an image file.

    Raises ImageError where the file is at fault, OSError where a server fails to answer several times.
    """
    if file.is_local:
        return read_image_file(Path(file.path))
    for again in range(_TRIES):
        try:
            return file.read()
        except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
            raise ImageError(f"{file.name}: cannot be read ({one_line(error)})") from None
        except OSError:
            if again + 1 == _TRIES:
                raise
            time.sleep(_SECONDS_BETWEEN * 2**again)
    raise AssertionError


def _open(settings: WorkerSettings) -> Detector:
    """The detector. Raises EngineError where this machine has another engine file or another version of the toolkit."""
    from yolact.runtime.detector import Detector
    from yolact.runtime.engine_files import open_engine

    if settings.version != yolact.__version__:
        raise EngineError(f"a worker has version {yolact.__version__} of this toolkit, expected {settings.version}")
    engine = settings.engine
    if not engine.is_file() or sha256_of(engine) != settings.engine_sha256:
        state = "other contents in" if engine.is_file() else "no"
        raise EngineError(f"a worker's machine has {state} {engine}; put the engine there under the same path")
    return Detector(open_engine(engine, settings.open_options))


def _batch_size(detector: Detector) -> int:
    """The batch size for the engine: on a CPU, larger batches are no faster; on a GPU they are, up to a size."""
    engine = detector.engine
    if str(engine.device) in ("cpu", "openvino"):
        return engine.min_batch
    return min(engine.max_batch or _GPU_BATCH, max(_GPU_BATCH, engine.min_batch))
