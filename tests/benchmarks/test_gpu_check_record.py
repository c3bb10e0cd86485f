"""What the check on a GPU keeps from one call to the next, and its plan."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from repository import ROOT

from benchmarks.gpu.check import __main__ as command
from benchmarks.gpu.check.plan import COMPILING_DETECTORS, TIME_LIMIT, plan_steps
from benchmarks.gpu.check.record import Outcome, Record
from benchmarks.gpu.check.report import describe
from benchmarks.gpu.check.steps import Step
from benchmarks.gpu.detectors.measuring import BATCHES
from benchmarks.gpu.detectors.step import NEEDS
from yolact.runtime.errors import UsageError

CODE = """
import sys; from pathlib import Path
log = Path({log!r}); log.write_text((log.read_text() if log.exists() else "") + "{name} ")
Path({result!r}).write_text('{{"of": {number}, "nvidia_smi": {{"name": "NVIDIA Test"}}}}')
sys.exit({code})
"""


class Machine:
    """A machine on which the command is called again and again, and what its steps do there.

    Attributes:
        codes: exit codes of the steps, 0 where there is none.
        path: the file of results.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.path = folder, folder / "all.json"
        self.codes: dict[str, int] = {}
        self.calls = 0
        self.always = {"environment"}
        self._patch = monkeypatch
        monkeypatch.setattr(command, "FOLDER", folder / "work")
        monkeypatch.setattr(command, "plan_steps", self._steps)
        monkeypatch.setattr(command, "ask_nvidia_smi", lambda *_: {"name": "NVIDIA Test"})

    def _steps(self, folder: Path) -> list[Step]:
        return [self._step(folder, name) for name in ("environment", "build", "tests", "kernels", "extra")]

    def _step(self, folder: Path, name: str) -> Step:
        result = folder / f"{name}.json"
        values = {"name": name, "number": self.calls, "code": self.codes.get(name, 0)}
        code = CODE.format(log=str(self.folder / "log"), result=str(result), **values)
        line = [command.sys.executable, "-S", "-c", code]
        return Step(name, line, 100, result, "", asked_only=name == "extra", always=name in self.always)

    def call(self, *arguments: str) -> tuple[int, list[str]]:
        """Exit code, and the names of the steps that ran."""
        self.calls += 1
        (self.folder / "log").write_text("")
        self._patch.setattr(command.sys, "argv", ["check", "--json", str(self.path), *arguments])
        code = command.main()
        return code, (self.folder / "log").read_text().split()

    def calls_of(self) -> dict[str, tuple[str, Any]]:
        """Each step in the file: its status, and the number of the call whose result it is."""
        steps = json.loads(self.path.read_text())["steps"]
        return {name: (one["status"], (one["result"] or {}).get("of")) for name, one in steps.items()}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


DEFAULT = ["environment", "build", "tests", "kernels"]


def test_resuming_runs_what_is_not_done(machine: Machine) -> None:
    machine.codes = {"tests": 1, "kernels": 77}
    assert machine.call() == (1, DEFAULT)
    machine.codes = {"tests": 1}
    assert machine.call("--resume") == (1, ["environment", "tests", "kernels"])
    machine.codes = {}
    assert machine.call("--resume") == (0, ["environment", "tests"])
    assert machine.call("--resume") == (0, ["environment"])
    expected = {"environment": ("done", 4), "build": ("done", 1), "tests": ("done", 3), "kernels": ("done", 2)}
    assert machine.calls_of() == expected
    assert machine.call("--resume", "--only", "extra", "tests") == (0, ["environment", "extra"])
    assert machine.calls_of() == {**expected, "environment": ("done", 5), "extra": ("done", 5)}
    assert machine.call() == (0, DEFAULT)  # anew: nothing is kept
    assert machine.calls_of() == dict.fromkeys(DEFAULT, ("done", 6))


def test_only_replaces_what_it_names(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.codes = {"kernels": 1}
    machine.call("--only", "kernels")
    assert machine.call("--only", "tests") == (0, ["environment", "tests"])  # the failure was the earlier call's
    assert machine.calls_of() == {"environment": ("done", 2), "tests": ("done", 2), "kernels": ("failed", 1)}
    assert machine.call("--only", "tests") == (0, ["environment", "tests"])  # done, but asked for
    assert machine.calls_of()["tests"] == ("done", 3)
    machine.codes = {"tests": 77}
    assert machine.call("--only", "tests") == (0, ["environment", "tests"])
    assert machine.calls_of()["tests"] == ("done", 3)  # a step that was skipped replaces nothing
    assert re.search(r"^\| tests \| done \| .* \| kept, of 20\S+Z \|$", capsys.readouterr().out, re.MULTILINE)


def test_what_a_step_leaves_on_the_machine_is_made_again(machine: Machine) -> None:
    machine.call()
    machine.always.add("build")  # on another machine
    assert machine.call("--resume") == (0, ["environment", "build"])


def test_what_a_killed_call_leaves(machine: Machine) -> None:
    machine.call()
    found = json.loads(machine.path.read_text())
    found["steps"]["tests"]["status"] = "running"
    del found["steps"]["kernels"]
    machine.path.write_text(json.dumps(found))
    record = Record(machine.path, 1, order=["tests"])
    record.keep()
    assert record.kept["tests"].status == "interrupted"
    assert machine.call("--resume") == (0, ["environment", "tests", "kernels"])


def test_results_of_another_gpu_are_not_gone_on_from(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.call()
    before = machine.path.read_text()
    monkeypatch.setattr(command, "ask_nvidia_smi", lambda *_: {"name": "NVIDIA Other"})
    for options in (["--resume"], ["--only", "tests"]):
        with pytest.raises(SystemExit, match="2"):
            machine.call(*options)
        assert "has results of NVIDIA Test, but this is NVIDIA Other; give another --json" in capsys.readouterr().err
    assert machine.path.read_text() == before
    assert machine.call()[0] == 0


GOOD = {"status": "done", "reason": "", "seconds": 1.0, "at": "", "result": None, "log": []}
NO_RESULTS = {
    "no JSON": "{",
    "no text": b"\xff\xfe\x00",
    "deep": "[" * 100_000,
    "a list": "[]",
    "no steps": "{}",
    "steps in a list": '{"steps": ["tests"]}',
    "no outcome": '{"steps": {"tests": 4}}',
    "another name": json.dumps({"steps": {"tests": GOOD | {"colour": 1}}}),
    "another status": json.dumps({"steps": {"tests": GOOD | {"status": "fine"}}}),
    "a status in a list": json.dumps({"steps": {"tests": GOOD | {"status": ["done"]}}}),
    "seconds in words": json.dumps({"steps": {"tests": GOOD | {"seconds": "one"}}}),
    "a number for a reason": json.dumps({"steps": {"tests": GOOD | {"reason": 5}}}),
}


@pytest.mark.parametrize("kind", NO_RESULTS)
def test_what_is_no_result_of_a_check(machine: Machine, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = NO_RESULTS[kind]
    machine.path.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = machine.path.read_bytes()
    with pytest.raises(SystemExit, match="2"):
        machine.call("--resume")
    assert "expected the results of an earlier check to go on from, got something else" in capsys.readouterr().err
    assert machine.path.read_bytes() == before and not (machine.folder / "work").exists()


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be read: .*; give another --json"):
        Record(tmp_path, 1, order=["tests"]).keep()


@pytest.mark.parametrize("result", [[4], {"passed": 3}, {"rows": [4]}, {"rows": {"batch": 1}}, "text", {"doctor": 5}])
def test_results_of_an_earlier_call_that_are_none(tmp_path: Path, result: Any) -> None:
    outcomes = {name: Outcome("done", result=result) for name in ("environment", "tests", "kernels", "n c")}
    assert "| tests | done |" in describe(Record(tmp_path / "all.json", 1, kept=outcomes))


def test_the_plan_fits_into_its_time(tmp_path: Path) -> None:
    assert sum(step.limit for step in plan_steps(tmp_path) if not step.asked_only) < TIME_LIMIT == 540


def test_the_order_of_the_plan(tmp_path: Path) -> None:
    names = [step.name for step in plan_steps(tmp_path)]
    assert names[:4] == ["environment", "build", "tests", "racecheck"] and names[-1] == "sanitizer"
    compiling = [name for name in names if name.partition(" ")[2] in COMPILING_DETECTORS]
    others = [name for name in names if name.startswith("yolact") and name not in compiling]
    assert max(map(names.index, others)) < names.index("compiled kernels") < min(map(names.index, compiling))
    assert BATCHES == (1, 32, 8)
    assert {name.partition(" ")[2] for name in [*compiling, *others]} == NEEDS.keys()


def test_the_budget_in_the_documents_is_the_plan(tmp_path: Path) -> None:
    """Every step in its order with its seconds, and their sums."""
    text = (ROOT / "docs" / "how-to" / "plugins.md").read_text()
    table = text.partition("| step | s |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| ([^|]+) \| (\d+) \|", table, re.MULTILINE)
    steps = plan_steps(tmp_path)
    limits = {f"`{step.name}`": str(int(step.limit)) for step in steps if not step.asked_only}
    asked = {f"`{step.name}`": str(int(step.limit)) for step in steps if step.asked_only}
    networks = {name.replace("yolact_base", "yolact_resnet50"): limit for name, limit in asked.items() if " " in name}
    assert networks.items() <= limits.items()
    total = str(sum(map(int, limits.values())))
    assert dict(rows) == {**limits, "together": total, "`sanitizer`": asked["`sanitizer`"]}
    assert [name for name, _ in rows[: len(limits)]] == list(limits)
