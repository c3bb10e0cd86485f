"""Runs the steps of the check: child processes with time limits. None of them can end the others.

Only the standard library is needed. The exit code of a child is its outcome, and a line of its output gives the reason.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu.check.record import Outcome, Record, Status, read_json
from benchmarks.gpu.check.skipping import END_VARIABLE, SKIPPED

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
        limit: seconds that are kept for it; it may also use the seconds that the steps before it did not need.
        result: the JSON file of its results, which it may already write while it runs.
        needs: another step; if that one is skipped, so is this, for the same reason.
        asked_only: it runs only if it is named.
        always: it runs even if an earlier call has done it, since its files on the machine are needed and missing.
    """

    name: str
    command: Sequence[str]
    limit: float
    result: Path
    needs: str = ""
    asked_only: bool = False
    always: bool = False


def run_steps(steps: Sequence[Step], record: Record) -> int | None:
    """Run all steps in turn; return the number of the signal that ended the run early, else None."""
    deadline = time.monotonic() + record.limit
    try:
        with _signals_raise():
            for index, step in enumerate(steps):
                kept_for_others = sum(other.limit for other in steps[index + 1 :])
                record.set(step.name, _outcome(step, record, deadline - time.monotonic(), kept_for_others))
    except Stopped as stopped:
        number = signal.Signals(stopped.args[0])
        for step in steps:
            outcome = record.outcomes.get(step.name)
            if outcome is None:
                record.set(step.name, Outcome("not_started", f"{number.name} came before"))
            elif outcome.status == "running":
                result = read_json(step.result)
                record.set(step.name, Outcome("interrupted", f"ended by {number.name}", at=outcome.at, result=result))
        return int(number)
    return None


def _outcome(step: Step, record: Record, left: float, kept_for_others: float) -> Outcome:
    """Run a step when `left` seconds are left in all, of which some are kept for the steps after it."""
    needed = record.outcomes.get(step.needs)
    if needed is not None and needed.status == "skipped":
        return Outcome("skipped", needed.reason)
    if left <= 0:
        return Outcome("not_started", f"all {record.limit:g} s were spent on the steps before")
    record.set(step.name, Outcome("running", at=_now()))
    return run_step(step, min(max(step.limit, left - kept_for_others), left))


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def run_step(step: Step, limit: float) -> Outcome:
    """Run one step for at most `limit` seconds, a limit that it knows. Its output goes to a file beside its result.

    An exception from a signal handler passes through when the child and all its children are gone.
    """
    step.result.unlink(missing_ok=True)
    log = step.result.with_suffix(".log")
    start, at = time.monotonic(), _now()
    environment = os.environ | {END_VARIABLE: str(time.time() + limit)}
    with log.open("wb") as output:
        try:
            child = subprocess.Popen(
                step.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            return Outcome("failed", f"{step.command[0]} does not run: {error.strerror}", at=at)
        try:
            code: int | None = child.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end(child)
    lines = [line.rstrip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    seconds = round(time.monotonic() - start, 2)
    outcome = Outcome(*_verdict(code, limit, _told(lines)), seconds, read_json(step.result), at=at)
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
    """End a child and all processes that it started, also those that have started a session of their own.

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
