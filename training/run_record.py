"""A run's options and its validations so far: `run.json`, by which ``--resume`` needs no other option."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

from yolact.runtime.errors import CheckpointError
from yolact.runtime.fields import FieldError, entries, exactly, fraction, is_number, shown, text, whole
from yolact.runtime.json_text import from_json, to_json

RECORD_FILE = "run.json"
STATE_FILE = "state.pth"
BEST_FILE = "best.pth"

VERSION = 1

_MOST_TEXT = 1 << 16
_MOST_ENTRIES = 1 << 20
_MOST_BYTES = 64 << 20
_MOST_SECONDS = 1e12


class Validation(NamedTuple):
    """The result of a validation; None where no object defines it.

    Attributes:
        iteration: gradient steps before it.
        box_ap, mask_ap: average precision, fractions of 1.
    """

    iteration: int
    box_ap: float | None
    mask_ap: float | None


@dataclass(frozen=True)
class RunRecord:
    """A run's own options, the facts about it, and its validations.

    Attributes:
        arguments: its options as words of a command line, but for ``--output`` and ``--resume``.
        directory: where it was started, which relative paths among the arguments begin at.
        facts: the facts on its page, by title.
        seconds: its duration so far, earlier parts included.
        validations: in their order.
    """

    arguments: tuple[str, ...]
    directory: str
    facts: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    validations: tuple[Validation, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> RunRecord:
        """The record in the folder of a run. Raises CheckpointError where there is none, or it is damaged."""
        path = folder / RECORD_FILE
        try:
            if path.is_file() and path.stat().st_size > _MOST_BYTES:
                raise ValueError(f"it has more than {_MOST_BYTES} bytes")
            return cls._from_values(from_json(path.read_bytes()))
        except FileNotFoundError:
            raise CheckpointError(f"there is no {path}") from None
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read ({error.strerror})") from None
        except ValueError as error:
            raise CheckpointError(f"{path} is damaged ({error})") from None

    @classmethod
    def _from_values(cls, values: object) -> RunRecord:
        fields = exactly("the record", values, ("version", *cls.__dataclass_fields__))
        if whole("version", fields["version"], 0, 2**31) != VERSION:
            raise ValueError(f"it has version {fields['version']}, expected {VERSION}")
        seconds = fields["seconds"]
        if not is_number(seconds) or not 0 <= seconds <= _MOST_SECONDS:
            raise ValueError(f"seconds must be a number from 0 on, got {shown(seconds)}")
        validations = entries("validations", fields["validations"], _validation, most=_MOST_ENTRIES)
        iterations = [one.iteration for one in validations]
        if sorted(set(iterations)) != iterations:
            raise ValueError("its validations are not in the order of their iterations")
        return cls(
            entries("arguments", fields["arguments"], _text),
            _text("directory", fields["directory"]),
            entries("facts", fields["facts"], _fact),
            float(seconds),
            validations,
        )

    def as_bytes(self) -> bytes:
        """The text that `read` reads."""
        return to_json({"version": VERSION, **asdict(self)}, indent=1).encode()

    @property
    def best(self) -> Validation | None:
        """The first of the validations with the highest mask AP; None where none measured any."""
        measured = [one for one in self.validations if one.mask_ap is not None]
        return max(measured, key=lambda one: one.mask_ap or 0, default=None)

    @property
    def without_progress(self) -> int:
        """The number of validations since the best one; all of them where none measured any."""
        best = self.best
        return sum(best is None or one.iteration > best.iteration for one in self.validations)

    def until(self, iteration: int) -> RunRecord:
        """The record as it was at an iteration that the run goes on from."""
        return replace(self, validations=tuple(one for one in self.validations if one.iteration <= iteration))

    def with_validation(self, validation: Validation) -> RunRecord:
        """The record with one validation more, in the place of an earlier one at the same iteration."""
        before = (one for one in self.validations if one.iteration < validation.iteration)
        return replace(self, validations=(*before, validation))

    def resolve(self, path: Path) -> Path:
        """A path among the arguments: as it is where something is there, else from where the run was started."""
        there = Path(self.directory) / path
        return there if not path.exists() and there.exists() else path


def _text(name: str, value: object) -> str:
    return text(name, value, _MOST_TEXT)


def _fact(name: str, value: object) -> tuple[str, str]:
    title, told = entries(name, value, _text, 2, 2)
    return title, told


def _validation(name: str, value: object) -> Validation:
    iteration, *measured = _as_list(name, value)
    box, mask = (None if one is None else fraction(f"{name}[{i}]", one) for i, one in enumerate(measured, 1))
    return Validation(whole(f"{name}[0]", iteration, 1, 2**53), box, mask)


def _as_list(name: str, value: object) -> Iterable[object]:
    if not isinstance(value, list) or len(value) != len(Validation._fields):
        raise FieldError(f"{name} must be a list of iteration, box AP and mask AP, got {shown(value)}")
    return value
