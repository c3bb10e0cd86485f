"""The outcomes of the steps of the check, kept in a file from one call to the next.

Only the standard library is needed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from benchmarks.figures import write_figures
from yolact.runtime.errors import UsageError
from yolact.runtime.json_text import parse_json

Status = Literal["running", "done", "failed", "skipped", "timed_out", "interrupted", "not_started"]

TRIED = ("done", "failed", "timed_out", "interrupted")
"""How a step ends that ran. Only such an end replaces the result of an earlier call."""

_TYPES: dict[str, tuple[type, ...]] = {"reason": (str,), "seconds": (int, float), "at": (str,), "log": (list,)}


@dataclass
class Outcome:
    """The end of a step, and its results.

    Attributes:
        status: how it ended, or that it still runs.
        reason: a sentence if it is not done.
        seconds: its duration.
        result: the contents of its file at the end.
        log: the last lines of its output, if something went wrong.
        at: the time of its start, in UTC, in the form of ISO 8601; empty if it did not start.
    """

    status: Status
    reason: str = ""
    seconds: float = 0.0
    result: Any = None
    log: list[str] = field(default_factory=list)
    at: str = ""


@dataclass
class Record:
    """The outcomes of all steps, kept in a file that is whole at any time.

    Attributes:
        path: the file; not written as long as all steps are skipped, so a machine without a GPU replaces no results.
        limit: seconds for all steps together.
        outcomes: of this call, by the names of the steps.
        kept: of earlier calls.
        order: names of all steps, in the order of the file.
    """

    path: Path
    limit: float
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    kept: dict[str, Outcome] = field(default_factory=dict)
    order: Sequence[str] = ()

    def set(self, name: str, outcome: Outcome) -> None:
        """Enter an outcome and write the file."""
        self.outcomes[name] = outcome
        print(f"{name}: {outcome.status} {outcome.reason}".rstrip(), file=sys.stderr, flush=True)
        if any(one.status not in ("running", "skipped") for one in self.outcomes.values()):
            steps = {name: asdict(outcome) for name, outcome in self.all().items()}
            write_figures(self.path, {"limit_s": self.limit, "steps": steps})

    def all(self) -> dict[str, Outcome]:
        """The outcomes of this call; where it has not run a step to its end, that of an earlier call."""
        tried = {name: one for name, one in self.outcomes.items() if name not in self.kept or one.status in TRIED}
        merged = {**self.kept, **tried}
        names = [*(name for name in self.order if name in merged), *(name for name in merged if name not in self.order)]
        return {name: merged[name] for name in names}

    def keep(self) -> None:
        """Take over the outcomes of earlier calls, if there is a file. Raises UsageError if it is something else.

        A step during which an earlier call was killed counts as interrupted.
        """
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise UsageError(f"{self.path} cannot be read: {error.strerror}; give another --json") from error
        try:
            steps = parse_json(text)["steps"]
            self.kept = {name: _outcome(steps[name]) for name in self.order if name in steps}
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"{self.path}: expected the results of an earlier check to go on from, got something else "
                f"({type(error).__name__}: {error}); give another --json"
            ) from error

    def is_done(self, name: str) -> bool:
        """Whether an earlier call has done the step."""
        return name in self.kept and self.kept[name].status == "done"

    @property
    def failed(self) -> bool:
        """Whether any step of this call went wrong; a skipped step did not."""
        return any(outcome.status not in ("done", "skipped") for outcome in self.outcomes.values())


def _outcome(values: Any) -> Outcome:
    """The outcome that a JSON object holds. Raises TypeError, KeyError or ValueError if it holds none."""
    outcome = Outcome(**values)
    if outcome.status not in get_args(Status):
        raise ValueError(f"{outcome.status!r} is no status of a step")
    for name, types in _TYPES.items():
        if not isinstance(getattr(outcome, name), types):
            raise TypeError(f"{name} of a step is of another type")
    if outcome.status == "running":
        outcome.status, outcome.reason = "interrupted", "the call that ran it was killed"
    return outcome


def read_json(path: Path) -> Any:
    """The contents of a JSON file; None if it cannot be read."""
    try:
        return parse_json(path.read_bytes())
    except (OSError, ValueError):
        return None
