"""The manifest of a folder of results: the engine and the options that they depend on, and the parts that are done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast, get_args

import yolact
from yolact.batch.part_files import FOLDER, PartSummary, part_name
from yolact.batch.places import Place
from yolact.runtime.errors import EngineError, UsageError, YolactError
from yolact.runtime.fields import exactly, is_number, one_of, shown, text
from yolact.runtime.json_text import from_json, to_json
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.results import MaskFormat
from yolact.runtime.wording import one_line

FILE = "manifest.json"
FORMAT = 1

_LONGEST = 1 << 16


@dataclass(frozen=True)
class Identity:
    """The properties that a resumed job must share with the job that began its folder.

    Attributes:
        engine: name of the engine file, for people.
        engine_sha256: of its contents.
        input: path or URI of the images, for people, without passwords.
        masks: how masks are written.
        score_threshold: detections with a lower score are left out.
        column: of Parquet files, else None.
    """

    engine: str
    engine_sha256: str
    input: str
    masks: MaskFormat
    score_threshold: float
    column: str | None


@dataclass(frozen=True)
class Manifest:
    """The file ``manifest.json`` of a folder of results.

    Attributes:
        identity: see `Identity`.
        metadata: of the engine.
        done: summaries of the parts that are done.
        complete: whether all parts are done.
    """

    identity: Identity
    metadata: ModelMetadata
    done: tuple[PartSummary, ...] = ()
    complete: bool = False

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "format": FORMAT,
            "toolkit": yolact.__version__,
            **asdict(self.identity),
            "metadata": self.metadata.to_props(),
            "complete": self.complete,
            "images": sum(part.images for part in self.done),
            "unreadable": sum(part.unreadable for part in self.done),
            "detections": sum(part.detections for part in self.done),
            "parts": [_to_json(part) for part in self.done],
        }

    def write(self, folder: Place) -> None:
        """Write it into a folder. Raises YolactError."""
        place = folder / FILE
        try:
            place.write(to_json(self.to_json(), indent=1).encode())
        except OSError as error:
            raise YolactError(f"cannot write {place.name}: {one_line(error)}; choose another --output") from None


def read_manifest(folder: Place) -> tuple[Identity, ModelMetadata, bool]:
    """The identity of a folder's results, the model's metadata, and whether the results are complete.

    Raises:
        YolactError: the manifest cannot be read or is damaged.
        EngineError: the metadata of the model is of another version.
    """
    place = folder / FILE
    try:
        values = from_json(place.read())
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise ValueError(f"its format is {shown(values.get('format') if isinstance(values, dict) else values)}")
        identity = _identity({name: values.get(name) for name in Identity.__dataclass_fields__})
        return identity, ModelMetadata.from_props(values.get("metadata"), place.name), values.get("complete") is True
    except EngineError:
        raise
    except (OSError, ValueError) as error:
        raise YolactError(
            f"{place.name}: {one_line(error)}; expected the manifest of this yolact-batch; give another folder"
        ) from None


def _identity(values: Mapping[str, object]) -> Identity:
    exactly("the manifest", values, tuple(Identity.__dataclass_fields__))
    threshold, column = values["score_threshold"], values["column"]
    if not is_number(threshold):
        raise ValueError(f"score_threshold must be a number, got {shown(threshold)}")
    return Identity(
        engine=text("engine", values["engine"], _LONGEST),
        engine_sha256=text("engine_sha256", values["engine_sha256"], 64),
        input=text("input", values["input"], _LONGEST),
        masks=cast(MaskFormat, one_of("masks", values["masks"], get_args(MaskFormat))),
        score_threshold=float(threshold),
        column=None if column is None else text("column", column, _LONGEST),
    )


def refuse_other(folder: Place, begun: Identity, now: Identity) -> None:
    """Raise UsageError where a folder holds the results of something else."""
    advice = "give another --output, or the engine and options it was begun with"
    if begun.engine_sha256 != now.engine_sha256:
        raise UsageError(
            f"{folder.name} holds results of {begun.engine} (SHA-256 {begun.engine_sha256[:12]}), but {now.engine} is "
            f"another engine ({now.engine_sha256[:12]}); {advice}"
        )
    for name in ("input", "column", "masks", "score_threshold"):
        before, after = getattr(begun, name), getattr(now, name)
        if before != after:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{folder.name} was begun with {option} {before}, got {after}; {advice}")


def _to_json(part: PartSummary) -> dict[str, Any]:
    values = {name: value for name, value in asdict(part).items() if name not in ("number", "engine_sha256")}
    return {"file": f"{FOLDER}/{part_name(part.number)}", **values}
