"""The files of results, one for each part. A part counts as done only if its file is whole and describes itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from yolact.batch.places import Place
from yolact.runtime.errors import YolactError
from yolact.runtime.fields import exactly, text, whole
from yolact.runtime.json_text import from_json, to_json
from yolact.runtime.wording import one_line

if TYPE_CHECKING:
    import pyarrow

FOLDER = "detections"

_KEY = b"yolact.part"
_MOST = 2**53


class OutputFailed(YolactError):
    """The folder of a job cannot be written to; every part would fail."""


class PartDamaged(Exception):
    """A file of a part is damaged; the message continues a sentence that begins with its name."""


@dataclass(frozen=True)
class PartSummary:
    """The description of a part in its file.

    Attributes:
        number: of the part.
        fingerprint: of its images, see `Part.fingerprint`.
        engine_sha256: of the engine.
        images: number of images with results, including errors.
        unreadable: number of images with an error.
        detections: number of detections in all images.
    """

    number: int
    fingerprint: str
    engine_sha256: str
    images: int
    unreadable: int
    detections: int

    @classmethod
    def from_json(cls, written: bytes) -> PartSummary:
        """Inverse of the JSON in the file. Raises ValueError."""
        values = exactly("the part", from_json(written), tuple(cls.__dataclass_fields__))
        return cls(
            number=whole("number", values["number"], 0, _MOST),
            fingerprint=text("fingerprint", values["fingerprint"], 64),
            engine_sha256=text("engine_sha256", values["engine_sha256"], 64),
            images=whole("images", values["images"], 0, _MOST),
            unreadable=whole("unreadable", values["unreadable"], 0, _MOST),
            detections=whole("detections", values["detections"], 0, _MOST),
        )


def part_name(number: int) -> str:
    """The name of a part's file."""
    return f"part-{number:06}.parquet"


def write_part(job: Place, summary: PartSummary, table: pyarrow.Table) -> None:
    """Write the file of a part into the folder of a job. Its name is the same each time. Raises OutputFailed."""
    import pyarrow.parquet as pq

    buffer = BytesIO()
    noted = table.replace_schema_metadata({_KEY: to_json(asdict(summary)).encode()})
    pq.write_table(noted, buffer, compression="zstd", write_page_checksum=True)
    write_file(job / FOLDER / part_name(summary.number), buffer.getvalue())


def write_file(file: Place, data: bytes) -> None:
    """Write a file into the folder of a job. Raises OutputFailed."""
    try:
        file.write(data)
    except OSError as error:
        raise OutputFailed(
            f"cannot write {file.name}: {one_line(error)}; free space, and start the command again"
        ) from None


def read_summary(file: Place) -> PartSummary:
    """The summary in the file of a part; only the end of the file is read. Raises PartDamaged."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(file.path, filesystem=file.filesystem) as opened:
            summary = PartSummary.from_json((opened.schema_arrow.metadata or {})[_KEY])
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise PartDamaged(f"is damaged or was not written to its end ({type(error).__name__})") from None
    if file.path.rpartition("/")[2] != part_name(summary.number):
        raise PartDamaged(f"holds part {summary.number}")
    return summary


def read_part(file: Place) -> pyarrow.Table:
    """The rows of a part, with their checksums verified. Raises PartDamaged."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(file.path, filesystem=file.filesystem, page_checksum_verification=True) as opened:
            return opened.read()
    except (OSError, pa.ArrowException) as error:
        raise PartDamaged(f"is damaged ({type(error).__name__})") from None
