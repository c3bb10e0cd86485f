"""Runs the steps of the check: child processes with time limits, of which none can end the others.

Only the standard library is needed. A child says how it ended by its exit code, and why by a line of its output.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks.figures import write_figures
from benchmarks.gpu.check.skipping import SKIPPED

Status = Literal["running", "done", "failed", "skipped", "timed_out", "interrupted"]

GRACE = 3.0
"""Seconds that a child has to end by itself before it is killed."""

LOG_LINES = 40

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """One of the signals that end a command; its number is the argument."""


@dataclass(frozen=True)
class Step:
    """One child process.

    Attributes:
        name: of the step.
        command: what runs.
        limit: seconds it may take.
        result: JSON file that it leaves its results in, from time to time already while it runs.
        needs: a step; where that one is skipped, so is this, for the same reason.
    """

    name: str
    command: Sequence[str]
    limit: float
    result: Path
    needs: str = ""


@dataclass
class Outcome:
    """How a step ended, and what it left.

    Attributes:
        status: how it ended, or that it still runs.
        reason: a sentence where it is not done.
        seconds: it took.
        result: what its file held at the end.
        log: the last lines it said, where something went wrong.
    """

    status: Status
    reason: str = ""
    seconds: float = 0.0
    result: Any = None
    log: list[str] = field(default_factory=list)


@dataclass
class Record:
    """The outcomes of all steps, kept in a file that is whole at any time.

    Attributes:
        path: the file; not written as long as all is skipped, so that a machine without a GPU replaces no results.
        limit: seconds for all steps together.
        outcomes: by the names of the steps, in their order.
    """

    path: Path
    limit: float
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def set(self, name: str, outcome: Outcome) -> None:
        """Enter an outcome and write the file."""
        self.outcomes[name] = outcome
        print(f"{name}: {outcome.status} {outcome.reason}".rstrip(), file=sys.stderr, flush=True)
        if any(one.status not in ("running", "skipped") for one in self.outcomes.values()):
            steps = {name: asdict(outcome) for name, outcome in self.outcomes.items()}
            write_figures(self.path, {"limit_s": self.limit, "steps": steps})

    @property
    def failed(self) -> bool:
        """Whether any step went wrong; a skipped step did not."""
        return any(outcome.status not in ("done", "skipped") for outcome in self.outcomes.values())


def run_steps(steps: Sequence[Step], record: Record) -> int | None:
    """Run all steps in turn; return the number of the signal that ended the run early, else None."""
    deadline = time.monotonic() + record.limit
    try:
        with _signals_raise():
            for step in steps:
                record.set(step.name, _outcome(step, record, deadline))
    except Stopped as stopped:
        number = signal.Signals(stopped.args[0])
        for step in steps:
            outcome = record.outcomes.get(step.name)
            if outcome is None:
                record.set(step.name, Outcome("interrupted", f"not started before {number.name} came"))
            elif outcome.status == "running":
                record.set(step.name, Outcome("interrupted", f"ended by {number.name}", result=_read(step.result)))
        return int(number)
    return None


def _outcome(step: Step, record: Record, deadline: float) -> Outcome:
    needed = record.outcomes.get(step.needs)
    if needed is not None and needed.status == "skipped":
        return Outcome("skipped", needed.reason)
    left = deadline - time.monotonic()
    if left <= 0:
        return Outcome("timed_out", f"not started: all {record.limit:g} s were spent on the steps before")
    record.set(step.name, Outcome("running"))
    return run_step(step, min(step.limit, left))


def run_step(step: Step, limit: float) -> Outcome:
    """Run one step for at most `limit` seconds. Its output goes to a file beside its result.

    An exception from a signal handler passes through when the child and all its children are gone.
    """
    step.result.unlink(missing_ok=True)
    log = step.result.with_suffix(".log")
    start = time.monotonic()
    with log.open("wb") as output:
        try:
            child = subprocess.Popen(
                step.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        except OSError as error:
            return Outcome("failed", f"{step.command[0]} does not run: {error.strerror}")
        try:
            code: int | None = child.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end(child)
    lines = [line.rstrip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    outcome = Outcome(*_verdict(code, limit, _told(lines)), round(time.monotonic() - start, 2), _read(step.result))
    if outcome.status not in ("done", "skipped"):
        outcome.log = lines[-LOG_LINES:]
    return outcome


def _verdict(code: int | None, limit: float, told: str) -> tuple[Status, str]:
    """Status and reason of a child that ended with this exit code; the code is None where it ran out of time."""
    if code is None:
        return "timed_out", f"not done after {limit:.0f} s; it said last: {told or 'nothing'}"
    if code == 0:
        return "done", ""
    if code == SKIPPED:
        return "skipped", told.removeprefix("skipped: ")
    if code < 0:
        return "failed", f"ended by {signal.Signals(-code).name}; it said last: {told or 'nothing'}"
    return "failed", told.removeprefix("error: ") or f"exit code {code}, without a word"


def _told(lines: list[str]) -> str:
    """The reason that a child gives, else its last line."""
    given = [line for line in lines if line.startswith(("skipped: ", "error: "))]
    return [*lines, *given][-1].strip() if lines else ""


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


@contextmanager
def _signals_raise() -> Iterator[None]:
    """Let the first SIGINT, SIGTERM or SIGHUP raise Stopped; later ones are ignored, to clean up undisturbed."""

    def stop(number: int, _: Any) -> None:
        for one in previous:
            signal.signal(one, signal.SIG_IGN)
        raise Stopped(number)

    previous = {number: signal.getsignal(number) for number in _SIGNALS}
    previous = {
        number: handler for number, handler in previous.items() if handler != signal.SIG_IGN
    }  # nohup ignores SIGHUP
    for number in previous:
        signal.signal(number, stop)
    yield
    for number, handler in previous.items():
        signal.signal(number, handler)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child and all processes that it started, also those that have made a session of their own.

    Where the child has ended already, only the processes that it left in its session are found.
    """
    family = _descendants(child.pid)
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            child.wait(GRACE)
        family |= _descendants(child.pid)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    for pid, started in family:
        if _stat(pid)[1:] == (started,):  # else the process is gone and its number may be another's
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    child.wait()


def _descendants(pid: int) -> set[tuple[int, str]]:
    """Numbers and starting times of all descendants of a process. Empty where there is no /proc."""
    parents: dict[int, list[tuple[int, str]]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        if stat := _stat(int(folder.name)):
            parents.setdefault(stat[0], []).append((int(folder.name), stat[1]))
    found: set[tuple[int, str]] = set()
    waiting = [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        waiting += [number for number, _ in children]
        found.update(children)
    return found


def _stat(pid: int) -> tuple[int, str] | tuple[()]:
    """A process's parent and starting time (proc(5), stat), empty where there is no such process."""
    try:
        values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ()
    return int(values[1]), values[19]
