"""A copy of a repository in which one mutation at a time is made and tested."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Literal, NamedTuple

from mutation import Mutation, locate, read_sources, tracked_files

End = Literal["passed", "failed", "died", "timed out", "did not run"]

_ENDS: dict[int, End] = {0: "passed", 1: "failed", 2: "failed"}  # 2: a test file that cannot be imported


class Run(NamedTuple):
    """How a run of tests ended.

    Attributes:
        end: `did not run` where pytest found no test or none that it did not skip.
        reason: the first failure, or the last line of output.
    """

    end: End
    reason: str


class CopiedTree:
    """All files of a repository in a folder of their own, with ``shared`` beside them as it is beside the repository.

    The packages come from the environment that runs this; `yolact` comes from the copy, which is checked.
    """

    def __init__(self, tree: Path, folder: Path) -> None:
        """Copy. Raises RuntimeError where Python would import `yolact` from somewhere else."""
        self.root, self._scratch = folder / "clone", folder / "pytest"
        files = tracked_files(tree)
        for path in files:
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(tree / path, self.root / path)
        shared = tree.parent / "shared"
        if shared.is_dir():
            (folder / "shared").symlink_to(shared.resolve())
        self.sources = read_sources(self.root, files)
        # Python would take compiled code for current where a mutation keeps the size of its file and the second.
        # The first failure is enough, also for tests that run pytest themselves.
        added = {"PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_ADDOPTS": "-x"}
        self._environment = os.environ | added
        self._check_imports()

    def _check_imports(self) -> None:
        command = [sys.executable, "-c", "import yolact.runtime; print(yolact.runtime.__file__)"]
        done = subprocess.run(command, cwd="/", env=self._environment, capture_output=True, text=True, check=True)
        if not Path(done.stdout.strip()).is_relative_to(self.root):
            raise RuntimeError(f"expected yolact.runtime in {self.root}, got {done.stdout.strip()}")

    @contextmanager
    def mutated(self, mutation: Mutation) -> Iterator[Path]:
        """Make one mutation for a while; gives the path of the changed file."""
        path = locate(mutation, self.sources)
        text = self.sources[path]
        (self.root / path).write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
        try:
            yield path
        finally:
            (self.root / path).write_text(text, encoding="utf-8")

    def test(self, names: Iterable[str], seconds: float) -> Run:
        """Run test files until the first failure, for so long at most; whatever they started ends with them."""
        paths = [str(path) for name in names for path in sorted((self.root / "tests").rglob(name))]
        if not paths:  # pytest would run all there are
            return Run("did not run", "there is no such test file")
        options = ["-q", "-m", "not gpu", "-p", "no:cacheprovider", f"--basetemp={self._scratch}"]
        command = [sys.executable, "-m", "pytest", *options, *paths]
        with TemporaryFile() as output:  # a pipe would be held open by processes that outlive pytest
            process = subprocess.Popen(
                command,
                cwd=self.root,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                return Run("timed out", f"after {seconds:.0f} s")
            finally:
                with suppress(ProcessLookupError):  # usually all of it has ended
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            output.seek(0)
            return _read(code, output.read().decode(errors="replace"))


def _read(code: int, output: str) -> Run:
    lines = output.strip().splitlines() or [""]
    failures = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
    if code < 0 or code >= 128:
        return Run("died", f"signal {-code if code < 0 else code - 128}")
    if code == 0 and " passed" not in lines[-1]:
        return Run("did not run", lines[-1])
    return Run(_ENDS.get(code, "did not run"), failures[0] if failures else lines[-1])
