"""The check on a GPU without one: what becomes of steps that lack something, and what is told at the end."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from repository import ROOT
from waiting import wait_until

import yolact
from benchmarks.gpu.check.marked_tests import gpu_test_files
from benchmarks.gpu.check.plan import FEW
from benchmarks.gpu.check.record import Outcome, Record
from benchmarks.gpu.check.report import describe
from benchmarks.gpu.check.skipping import missing_module

DRIVER = """
import sys
from pathlib import Path
from benchmarks.gpu.check import __main__ as command
folder = Path(sys.argv.pop(1))
command.FOLDER = folder / "work"
"""
"""The command, without disturbing a real run of it."""


def hide(folder: Path, *modules: str) -> None:
    """Let these modules be missing for what the functions below run."""
    (folder / "hidden").mkdir()
    for module in modules:
        text = f"raise ModuleNotFoundError(\"No module named '{module}'\", name='{module}')"
        (folder / "hidden" / f"{module}.py").write_text(text)


def make_nvidia_smi(folder: Path) -> None:
    """A program that describes a GPU when it is asked for all that the check asks for, or for its name alone."""
    values = "NVIDIA Test, 1.2, 9.0, 80 GiB, 1 MiB, 0 %, 30, 1 MHz, 2 MHz, 3 MHz, 4 MHz, 5 W, 6 W"
    smi = folder / "bin" / "nvidia-smi"
    smi.parent.mkdir()
    name = "'NVIDIA Test' if '--query-gpu=name' in sys.argv else"
    program = smi.with_suffix(".py")
    program.write_text(f"import sys\nprint({name} '{values}')\n")
    smi.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, str(program)])} "$@"\n')
    smi.chmod(0o755)


def run_command(
    folder: Path, *arguments: str, program: str = "", started: Callable[[Any], None] = lambda child: None
) -> tuple[int, str, str]:
    """Exit code and output of the command, where neither PyTorch nor nvidia-smi sees a GPU. A program named nvidia-smi
    in the folder's `bin` is found."""
    code = DRIVER + program + "sys.exit(command.main())"
    places = os.pathsep.join([str(folder / "hidden"), str(ROOT)])
    changes = {"PYTHONPATH": places, "CUDA_VISIBLE_DEVICES": "", "PATH": str(folder / "bin")}
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(folder), *arguments],
        env=os.environ | changes,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started(child)
    output, errors = child.communicate()
    return child.returncode, output, errors


HANGING = """
def steps(_):
    from benchmarks.gpu.check.steps import Step
    def step(name, code):
        return Step(name, [sys.executable, "-c", code], 1000, folder / "work" / f"{name}.json")
    hang = f"import os, time; open({str(folder / 'part')!r}, 'w').write('[4]'); "
    hang += f"os.rename({str(folder / 'part')!r}, {str(folder / 'work' / 'hang.json')!r}); time.sleep(1000)"
    return [step("environment", ""), step("hang", hang), step("later", "")]
command.plan_steps = steps
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_everything_until_then(tmp_path: Path, number: signal.Signals, code: int) -> None:
    path = tmp_path / "all.json"

    def stop(child: Any) -> None:
        wait_until(lambda: (tmp_path / "work" / "hang.json").exists() or child.poll() is not None)
        child.send_signal(number)

    returned, output, errors = run_command(tmp_path, "--json", str(path), program=HANGING, started=stop)
    assert returned == code, errors
    steps = json.loads(path.read_text())["steps"]
    assert [one["status"] for one in steps.values()] == ["done", "interrupted", "not_started"]
    assert steps["hang"]["result"] == [4] and number.name in steps["hang"]["reason"]
    assert re.search(r"^\| hang \| interrupted \|.*\n\| later \| not_started \|", output, re.MULTILINE)
    assert "Traceback" not in errors


def test_without_a_gpu(tmp_path: Path) -> None:
    """A sentence, exit code 4, and results of an earlier run stay."""
    path = tmp_path / "all.json"
    path.write_text("earlier")
    code, output, errors = run_command(tmp_path, "--json", str(path))
    assert code == 4 and path.read_text() == "earlier"
    assert re.search(r"error: there is no CUDA GPU: PyTorch .* can use none; nvidia-smi .*\n$", errors)
    rows = re.findall(r"^\| ([\w -]+) \| skipped \| .* \| there is no CUDA GPU", output, re.MULTILINE)
    assert {"environment", "build", "tests", "kernels", "yolact_resnet50 recorded"} <= set(rows)
    assert "yolact_base ort-cuda" not in rows and "sanitizer" not in rows


def test_a_gpu_without_pytorch(tmp_path: Path) -> None:
    """What needs PyTorch says so; the file is written."""
    hide(tmp_path, "torch")
    make_nvidia_smi(tmp_path)
    path = tmp_path / "all.json"
    code, output, errors = run_command(tmp_path, "--json", str(path), "--only", "kernels")
    assert code == 0, errors
    steps = json.loads(path.read_text())["steps"]
    expected = {"environment": "done", "kernels": "skipped"}
    assert {name: one["status"] for name, one in steps.items()} == expected
    assert steps["kernels"]["reason"] == "the Python module torch is not installed"
    assert steps["environment"]["result"]["arch"] == "sm_90"
    assert "clocks.max.sm: 2 MHz" in output and "architecture: sm_90" in output


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--time-limit", value] for value in ("0", "nan", "x")),
        *(["--only", *values] for values in ([], ["nosuch"], ["kernels", "nosuch"])),
        ["--fast"],
        ["--json", "/none/a.json"],
    ],
)
def test_refused_arguments(tmp_path: Path, arguments: list[str]) -> None:
    code, output, errors = run_command(tmp_path, *arguments)
    assert code == 2 and not output and "Traceback" not in errors and not (tmp_path / "work").exists()


def test_the_repository_where_it_lies() -> None:
    """Nothing is installed where Python does not look for installed packages (-S)."""
    program = (
        "import benchmarks.gpu.check.__main__, benchmarks.gpu.check.child, yolact, yolact.plugins.build as build; "
    )
    program += "print(yolact.__version__, yolact.plugins.build.SOURCES, sep=chr(10))"
    places = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-S", "-c", program], env=places, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    version, sources = done.stdout.splitlines()
    assert version == yolact.__version__ and Path(sources) == ROOT / "plugins"


def run_child(folder: Path, *arguments: str, program: str = "") -> subprocess.CompletedProcess[str]:
    """One step without a GPU."""
    code = f"import sys\nfrom benchmarks.gpu.check import child\n{program}\nsys.exit(child.main(sys.argv[1:]))"
    changes = {"PYTHONPATH": os.pathsep.join([str(folder / "hidden"), str(ROOT)]), "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], env=os.environ | changes, capture_output=True, text=True
    )


@pytest.mark.parametrize(("module", "step"), [("torch", "detector"), ("click", "kernels"), ("pytest", "tests")])
def test_a_module_that_is_missing_skips(tmp_path: Path, module: str, step: str) -> None:
    hide(tmp_path, module)
    arguments = ["yolact_resnet50", "eager", str(tmp_path)] if step == "detector" else []
    done = run_child(tmp_path, step, str(tmp_path / "result.json"), *arguments)
    assert (done.returncode, done.stdout) == (77, f"skipped: the Python module {module} is not installed\n")


@pytest.mark.parametrize(
    ("name", "top"),
    [("cv2", "cv2"), ("cuda.bindings.driver", "cuda"), ("yolact.runtime.none", ""), ("colorsys", ""), (None, "")],
)
def test_which_modules_may_be_missing(name: str | None, top: str) -> None:
    assert missing_module(name) == (f"the Python module {top} is not installed" if top else "")


def test_a_mistake_is_no_missing_module(tmp_path: Path) -> None:
    lost = "child.STEPS['tests'] = 'yolact.runtime.no_such_module:run_tests'"
    done = run_child(tmp_path, "tests", str(tmp_path / "result.json"), program=lost)
    assert done.returncode == 1 and "no_such_module" in done.stderr


def test_a_machine_without_most_modules_is_described(tmp_path: Path) -> None:
    hide(tmp_path, "torch", "numpy")
    path = tmp_path / "result.json"
    done = run_child(tmp_path, "environment", str(path), program="import os; os.environ['PATH'] = ''")
    assert done.returncode == 77 and "the Python module torch is not installed; nvidia-smi does not run" in done.stdout
    assert json.loads(path.read_text())["doctor"] == {"doctor": "the Python module numpy is not installed"}


def test_files_with_gpu_tests() -> None:
    """By their syntax: a mark, or a test or fixture that takes the fixture `backend`."""

    def has_gpu_tests(path: Path) -> bool:
        nodes = list(ast.walk(ast.parse(path.read_text())))
        marked = any(isinstance(node, ast.Attribute) and ast.unparse(node) == "pytest.mark.gpu" for node in nodes)
        functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
        return marked or any(one.arg == "backend" for function in functions for one in function.args.args)

    assert gpu_test_files() == [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if has_gpu_tests(path)]
    assert len(gpu_test_files()) >= 6


SUITE = {
    "test_a.py": """
import pytest
pytestmark = MARK
def test_good(): pass
def test_also_good(): pass
def test_bad(): assert 1 == 2, "one is not two"
@pytest.mark.parametrize("i", [1, 2])
def test_lazy(i): pytest.skip("too old a GPU")
def test_lacks(): raise ModuleNotFoundError("No module named 'tensorrt'")
@pytest.fixture
def broken(): raise ValueError("no fixture")
def test_needs(broken): pass
""",
    "test_b.py": "import pytest\npytestmark = MARK\nraise ModuleNotFoundError(\"No module named 'cv2'\")",
    "test_c.py": "raise ValueError('not a test for a GPU, so never looked at')",
    "test_d.py": "import pytest\ndef test_without_mark(): assert False\n@MARK\ndef test_marked(): pass",
}


def run_suite(folder: Path, suite: dict[str, str]) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    (folder / "tests").mkdir()
    (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\nmarkers = ['gpu: x']")
    for name, text in suite.items():
        (folder / "tests" / name).write_text(text.replace("MARK", "pytest.mark.gpu"))
    here = "from benchmarks.gpu.check import marked_tests; from pathlib import Path; "
    here += f"marked_tests.ROOT = Path({str(folder)!r})"
    path = folder / "result.json"
    done = run_child(folder, "tests", str(path), program=here)
    return done, json.loads(path.read_text())


def test_counts_of_the_tests(tmp_path: Path) -> None:
    done, found = run_suite(tmp_path, SUITE)
    assert (found["passed"], found["failed"], found["skipped"]) == (3, 2, 4)
    reasons = {"too old a GPU": 2}
    reasons |= {f"the Python module {name} is not installed": 1 for name in ("tensorrt", "cv2")}
    assert found["reasons_for_skipping"] == reasons and found["running"] == ""
    assert [name.split("::")[1] for name in found["failures"]] == ["test_bad", "test_needs"]
    assert "one is not two" in found["failures"]["tests/test_a.py::test_bad"]
    assert done.returncode == 1
    assert re.search(r"^error: 2 of 5 tests failed, the first was .*test_bad: .*one is not two", done.stdout, re.M)


VERDICTS = {
    "all skipped": (
        "def test_x(): pytest.skip('none here')",
        77,
        "skipped: no test could run, 1 of 1 because none here",
    ),
    "none there": ("", 77, "skipped: there are no such tests"),
    "all passed": ("def test_x(): pass", 0, ""),
    "an error outside of tests": ("raise ValueError('oh')", 1, "error: 1 of 1 tests failed, .*oh"),
}


@pytest.mark.parametrize("kind", VERDICTS)
def test_verdict_on_the_tests(tmp_path: Path, kind: str) -> None:
    body, code, line = VERDICTS[kind]
    done, _ = run_suite(tmp_path, {"test_x.py": f"import pytest\npytestmark = MARK\n{body}"})
    assert done.returncode == code and re.search(line, done.stdout)


def test_the_tables(tmp_path: Path) -> None:
    stages = {"prepare": 1.0, "network": 2.5}
    fast = {"batch": 8, "fps": 2285.714, "milliseconds": 3.5, "stages": stages}
    contender = {"network": "n", "contender": "c", "rows": [fast, {"batch": 32, "failed": "far off"}]}
    contender["rows"] += [{"batch": 64, "skipped": "too large"}]
    tests = {"passed": 3, "failed": 1, "skipped": 2, "failures": {"t": "m"}, "reasons_for_skipping": {"r": 2}}
    kernels = {"step": "fast_nms", "batch": 1, "type": "fp16", "inputs": "realistic", "bytes": 10, "floor": 2.0}
    outcomes = {
        "environment": Outcome("done", result={"gpu": "G", "nvidia_smi": {"clocks.sm": "7 MHz"}, "doctor": {}}),
        "tests": Outcome("failed", "a | b", 12.3, {**tests, "running": "t9"}),
        "kernels": Outcome("timed_out", result={"rows": [{**kernels, "microseconds": 8.0, "aims": {}}]}),
        "n c": Outcome("failed", "far off", 2.0, contender),
        "odd": Outcome("done", result=[4]),
    }
    text = describe(Record(tmp_path / "all.json", 540, outcomes))
    for line in (
        "gpu: G",
        "clocks.sm: 7 MHz",
        "| tests | failed | 12 | a \\| b |",
        "tests: 3 passed, 1 failed, 2 skipped",
        "- FAILED t: m",
        "- 2 skipped: r",
        "- running when it ended: t9",
        "| n | c | 8 | 2285.7 | 3.50 | prepare 1.00, network 2.50 |",
        "| n | c | 32 | failed |  |  |",
        "| n | c | 64 | too large |  |  |",
    ):
        assert f"\n{line}\n" in f"\n{text}\n"
    assert re.search(r"^\| fast_nms \| 1 \| fp16 \| realistic \| 8.0 \| 2.00 \| 4.0 \|", text, re.MULTILINE)


def test_the_tables_of_nothing(tmp_path: Path) -> None:
    outcomes = {"environment": Outcome("failed", "ended by SIGSEGV"), "tests": Outcome("interrupted", "not started")}
    assert "| environment | failed | 0 | ended by SIGSEGV |" in describe(Record(tmp_path / "x", 540, outcomes))


MOVED = 'from yolact.runtime.cuda import kernels; from pathlib import Path; kernels.LIBRARY = Path("/none")'
WITHOUT = {"recorded": "", "ort-cuda": "", "ort-tensorrt": ""}
WITHOUT |= {"tensorrt": "", "tensorrt-cpu": "tensorrt", "tensorrt-rtx": "", "tensorrt-rtx-cpu": "tensorrt_rtx"}


@pytest.mark.parametrize("contender", WITHOUT)
def test_a_contender_that_cannot_run_imports_and_builds_nothing(tmp_path: Path, contender: str) -> None:
    """PyTorch makes the network and its reference, onnx writes the file: both would leave a mark here."""
    hide(tmp_path, *filter(None, [WITHOUT[contender]]))
    for module in ("torch", "onnx"):
        mark = tmp_path / f"{module} was imported"
        (tmp_path / "hidden" / f"{module}.py").write_text(f"open({str(mark)!r}, 'w')\nraise SystemExit(3)")
    (tmp_path / "work").mkdir()
    arguments = ["detector", str(tmp_path / "result.json"), "yolact_resnet50", contender, str(tmp_path / "work")]
    done = run_child(tmp_path, *arguments, program=MOVED)
    assert done.returncode == 77 and done.stdout.startswith("skipped: "), done.stderr
    assert not list(tmp_path.glob("*imported")) and not list((tmp_path / "work").iterdir())


def test_the_watched_tests_are_there() -> None:
    """compute-sanitizer is given tests by their names."""
    folder = ROOT / "tests" / "plugins"
    names = re.findall(r'"(test_\w+\.py)::(test_\w+)"', (folder / "test_gpu_kernels.py").read_text())
    assert len(names) > 10
    for file, test in names:
        assert f"\ndef {test}(" in (folder / file).read_text(), f"{file}::{test}"


def test_the_race_check_that_comes_early_is_one_test() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-m", "gpu", "-k", FEW]
    files = [str(ROOT / "tests" / "plugins" / "test_gpu_kernels.py")]
    done = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True)
    assert re.findall(r"::(\S+)", done.stdout) == ["test_compute_sanitizer_finds_nothing[racecheck-few]"], done.stdout
