"""The step of the check that runs the tests marked `gpu` and keeps count while they run."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.figures import write_figures
from benchmarks.gpu.check.skipping import Skip, missing_module
from yolact.runtime.errors import YolactError

ROOT = Path(__file__).resolve().parents[3]
MARKS_OF_GPU_TESTS = re.compile(r"^(@|pytestmark = )pytest\.mark\.gpu\b|\bbackend: Backend\b", re.MULTILINE)
"""Lines of the files that have tests for a GPU: the mark, or the fixture `backend`, half of which is marked.

Other files are not given to pytest, since a bare machine may not be able to import them."""

NOTHING_COLLECTED = pytest.ExitCode.NO_TESTS_COLLECTED
MISSING = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")


class Recorder:
    """A plugin of pytest that records the outcomes of the tests so far, for a run that is cut short."""

    def __init__(self, result: Path) -> None:
        self.passed = 0
        self.skipped: Counter[str] = Counter()  # by reason
        self.failed: dict[str, str] = {}  # by test
        self.running = ""
        self._result = result

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.running = nodeid
        self._write()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.passed:
            self.passed += report.when == "call"
        else:
            self._note(report)
        self.running = ""
        self._write()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if not report.passed:
            self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        """Enter a test that was skipped or failed; one that lacks an optional module counts as skipped."""
        if report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self.skipped[reason.removeprefix("Skipped: ")] += 1
            return
        text = report.longreprtext
        absent = [missing_module(name) for name in MISSING.findall(text)[-1:]]
        if any(absent):
            self.skipped[absent[0]] += 1
        else:
            said = [line[1:].strip() for line in text.splitlines() if line.startswith("E ")]
            self.failed[report.nodeid] = " ".join(said)[:500] or text.strip()[-500:]

    def _write(self) -> None:
        counts = {"passed": self.passed, "failed": len(self.failed), "skipped": self.skipped.total()}
        details = {"failures": self.failed, "reasons_for_skipping": dict(self.skipped), "running": self.running}
        write_figures(self._result, {**counts, **details})

    def verdict(self, code: int) -> None:
        """Raises YolactError if a test failed or a mistake kept all from running, Skip if all were skipped."""
        self._write()
        if self.failed:
            test, message = next(iter(self.failed.items()))
            of = self.passed + len(self.failed)
            raise YolactError(f"{len(self.failed)} of {of} tests failed, the first was {test}: {message}")
        if not self.passed and self.skipped:
            reason, count = self.skipped.most_common(1)[0]
            raise Skip(f"no test could run, {count} of {self.skipped.total()} because {reason}")
        if code == NOTHING_COLLECTED:
            raise Skip("there are no such tests")
        if code:
            raise YolactError(f"pytest ended with exit code {int(code)}, though no test failed")


def gpu_test_files() -> list[Path]:
    """Test files with tests or fixtures that are marked `gpu`."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [file for file in files if MARKS_OF_GPU_TESTS.search(file.read_text(encoding="utf-8"))]


def run_tests(result: Path, *options: str) -> None:
    """Run the tests marked `gpu`, with further options of pytest. Raises as `Recorder.verdict`."""
    recorder: Any = Recorder(result)
    arguments = ["-m", "gpu", "-q", "-p", "no:cacheprovider", "--continue-on-collection-errors", "--rootdir", str(ROOT)]
    arguments += ["-c", str(ROOT / "pyproject.toml"), *options, *map(str, gpu_test_files())]
    recorder.verdict(pytest.main(arguments, plugins=[recorder]))
