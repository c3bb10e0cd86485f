"""How the check on a GPU runs its steps: crashes, hangs, limits."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

from benchmarks.gpu.check.record import Outcome, Record
from benchmarks.gpu.check.steps import Step, run_step, run_steps

FOREVER = 1000.0
SLEEP = f"import time; time.sleep({FOREVER})"
WRITE = "open(RESULT, 'w').write('{\"count\": 3}')\n"

MakeStep = Callable[..., Step]


@pytest.fixture
def step(tmp_path: Path) -> MakeStep:
    """A step of Python code, in which RESULT is the file for its result."""

    def make(name: str, code: str, limit: float = FOREVER, needs: str = "") -> Step:
        result = tmp_path / f"{name}.json"
        return Step(name, [sys.executable, "-c", f"RESULT = {str(result)!r}\n{code}"], limit, result, needs)

    return make


ENDS: dict[str, tuple[str, str, str, Any]] = {
    "done": (WRITE, "done", "", {"count": 3}),
    "done without a result": ("", "done", "", None),
    "a damaged result": ("open(RESULT, 'w').write('{\"count\":')", "done", "", None),
    "skipped": ("print('skipped: no such thing\\nbye'); exit(77)", "skipped", "no such thing", None),
    "failed": (WRITE + "print('error: broken\\nbye'); exit(1)", "failed", "broken", {"count": 3}),
    "a traceback": ("raise ValueError('so wrong')", "failed", "ValueError: so wrong", None),
    "silent": ("exit(3)", "failed", "exit code 3, without a word", None),
    "a crash": (WRITE + "import os; print('here', flush=True); os.abort()", "failed", "SIGABRT.*: here", {"count": 3}),
    "killed": ("import os; os.kill(os.getpid(), 9)", "failed", "SIGKILL.*: nothing", None),
    "no text": ("import sys; sys.stdout.buffer.write(b'a\\xff\\n'); exit(1)", "failed", "a\ufffd", None),
}


@pytest.mark.parametrize("kind", ENDS)
def test_how_a_step_ends(step: MakeStep, kind: str) -> None:
    code, status, reason, result = ENDS[kind]
    outcome = run_step(step("one", code), FOREVER)
    assert (outcome.status, outcome.result) == (status, result)
    assert re.fullmatch(f".*{reason}" if reason else "", outcome.reason)
    assert bool(outcome.log) == (status == "failed" and kind not in ("silent", "killed"))


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    outcome = run_step(Step("one", ["/no/such/program"], 1, tmp_path / "one.json"), 1)
    assert outcome.status == "failed" and "/no/such/program does not run" in outcome.reason


def test_no_result_of_an_earlier_run(step: MakeStep) -> None:
    one = step("one", "")
    one.result.write_text("{}")
    assert run_step(one, FOREVER).result is None


FAMILY = f"""
import json, os, signal, subprocess, sys, time
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); "
stubborn += "time.sleep({FOREVER})"
aloof = subprocess.Popen([sys.executable, "-S", "-c", stubborn], start_new_session=True, stdout=subprocess.PIPE)
near = subprocess.Popen([sys.executable, "-S", "-c", stubborn], stdout=subprocess.PIPE)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for child in (aloof, near):
    child.stdout.readline()
json.dump([os.getpid(), aloof.pid, near.pid], open(RESULT + ".part", "w"))
os.rename(RESULT + ".part", RESULT)
print("hanging now", flush=True)
"""


def is_alive(pid: int) -> bool:
    """Zombies are dead: nobody may be there to bury them."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_hangs_is_killed_with_all_its_children(step: MakeStep) -> None:
    for limit in (1, 5, 25):  # a busy machine may need longer to get to where it hangs
        outcome = run_step(step("one", FAMILY + SLEEP), limit)
        assert outcome.status == "timed_out"
        if outcome.result:
            break
    assert outcome.reason == f"not done after {limit} s; it said last: hanging now" and len(outcome.result) == 3
    wait_until(lambda: not any(map(is_alive, outcome.result)))


def test_nothing_is_left_of_what_crashes(step: MakeStep) -> None:
    outcome = run_step(step("one", FAMILY + "os.kill(aloof.pid, 9); os.abort()"), FOREVER)
    assert outcome.status == "failed" and len(outcome.result) == 3
    wait_until(lambda: not any(map(is_alive, outcome.result)))


def read(record: Record) -> dict[str, str]:
    """Status of each step in the file."""
    return {name: one["status"] for name, one in json.loads(record.path.read_text())["steps"].items()}


def test_no_step_ends_the_others(step: MakeStep, tmp_path: Path) -> None:
    steps = [
        step("crash", "import os; os.abort()"),
        step("hang", SLEEP, limit=0.5),
        step("skip", "print('skipped: no luck'); exit(77)"),
        step("needy", WRITE, needs="skip"),
        step("needier", WRITE, needs="needy"),
        step("after a crash", WRITE, needs="crash"),
    ]
    record = Record(tmp_path / "all.json", FOREVER)
    assert run_steps(steps, record) is None
    expected = ["failed", "timed_out", "skipped", "skipped", "skipped", "done"]
    assert read(record) == dict(zip((one.name for one in steps), expected, strict=True))
    assert record.outcomes["needier"].reason == "no luck"
    assert record.failed and list(tmp_path.glob(".partial*")) == []


def test_the_limit_is_for_all_steps_together(step: MakeStep, tmp_path: Path) -> None:
    record = Record(tmp_path / "all.json", 1.0)
    assert run_steps([step("hang", SLEEP), step("late", WRITE)], record) is None
    assert read(record) == {"hang": "timed_out", "late": "not_started"}
    assert record.outcomes["late"].reason == "all 1 s were spent on the steps before"
    assert record.failed


TELL = "import os, time; open(RESULT, 'w').write(str(float(os.environ['YOLACT_GPU_CHECK_END']) - time.time()))"


def test_a_step_may_take_what_the_others_before_it_did_not_need(step: MakeStep, tmp_path: Path) -> None:
    """What is kept for those after it stays theirs."""
    limits = {"a": 100.0, "b": 200.0, "c": 300.0}
    steps = [step(name, TELL, limit) for name, limit in limits.items()]
    record = Record(tmp_path / "all.json", 1000.0)
    run_steps(steps, record)
    assert [outcome.result for outcome in record.outcomes.values()] == [
        pytest.approx(expected, abs=60) for expected in (500, 700, 1000)
    ]
    short = Record(tmp_path / "short.json", 250.0)
    run_steps(steps, short)
    assert [outcome.result for outcome in short.outcomes.values()] == [
        pytest.approx(expected, abs=60) for expected in (100, 200, 250)
    ]


@pytest.mark.parametrize(
    ("statuses", "failed"),
    [(["done", "skipped"], False), (["skipped"], False), (["done", "failed"], True), (["timed_out", "done"], True)],
)
def test_what_counts_as_failed(tmp_path: Path, statuses: list[Any], failed: bool) -> None:
    record = Record(tmp_path / "all.json", FOREVER, {str(i): Outcome(status) for i, status in enumerate(statuses)})
    assert record.failed == failed
