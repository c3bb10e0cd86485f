"""Jobs on Ray itself: machines, workers and commands that are killed with signal 9 in the middle.

They start several processes and take tens of seconds, so `make test` leaves them out; `make test-cluster` runs them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from batch_jobs import Run, rows_of, write_pictures

pytest.importorskip("ray")

pytestmark = pytest.mark.cluster

PICTURES = 64 * 24
SECONDS = 240.0


@pytest.fixture
def expected(run: Run, tmp_path: Path) -> Counter[str]:
    """The rows of a job whose workers are in this process."""
    write_pictures(tmp_path / "photos", PICTURES)
    run(output=str(tmp_path / "expected"), images_per_part=None)
    return Counter(map(str, rows_of(tmp_path / "expected")))


class Job(subprocess.Popen[str]):
    """`yolact-batch` in a process of its own."""

    def __init__(self, engine: Path, folder: Path, *options: str) -> None:
        command = [sys.executable, "-m", "yolact.cli.batch", "--engine", str(engine), "--input", "photos"]
        command += ["--output", "out", "--workers", "2", *options]
        super().__init__(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def parts(folder: Path) -> int:
    return len(list((folder / "out" / "detections").glob("part-*.parquet")))


def wait_for_parts(job: Job, folder: Path, count: int) -> None:
    """Raise AssertionError where the job ends before."""
    wait_for(lambda: job.poll() is not None or parts(folder) >= count)
    assert job.poll() is None, job.communicate()


def descendants(pid: int) -> Iterator[int]:
    """Processes that a process has started, and so on."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):  # it has ended
            continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    yield from found - {pid}


def called(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def workers(job: Job) -> list[int]:
    return [pid for pid in descendants(job.pid) if called(pid).startswith("ray::") and "_Actor" in called(pid)]


def assert_complete(folder: Path, expected: Counter[str]) -> None:
    assert Counter(map(str, rows_of(folder / "out"))) == expected
    assert '"complete": true' in (folder / "out" / "manifest.json").read_text()


def assert_nothing_runs(pids: list[int]) -> None:
    """They may take a moment to end."""
    wait_for(lambda: not any(called(pid) for pid in pids))


def test_a_worker_that_is_killed(engine: Path, tmp_path: Path, expected: Counter[str]) -> None:
    job = Job(engine, tmp_path)
    wait_for_parts(job, tmp_path, 2)
    started = list(descendants(job.pid))
    os.kill(workers(job)[0], signal.SIGKILL)
    stdout, stderr = job.communicate(timeout=SECONDS)
    assert (job.returncode, stdout) == (0, f"{PICTURES} images: {4 * (PICTURES - PICTURES // 5 - 1)} detections\n")
    assert "Traceback" not in stderr and f"{PICTURES:,} of {PICTURES:,} images" in stderr
    assert_complete(tmp_path, expected)
    assert_nothing_runs(started)


@pytest.mark.parametrize("victim", ["command", "raylet"])
def test_a_run_that_is_killed(engine: Path, tmp_path: Path, expected: Counter[str], victim: str) -> None:
    job = Job(engine, tmp_path)
    wait_for_parts(job, tmp_path, 2)
    started = list(descendants(job.pid))
    raylets = [pid for pid in started if "raylet/raylet" in called(pid)]
    os.kill(job.pid if victim == "command" else raylets[0], signal.SIGKILL)
    _, stderr = job.communicate(timeout=SECONDS)
    assert job.returncode != 0 and "Traceback" not in stderr
    assert_nothing_runs(started)
    done = parts(tmp_path)
    assert 2 <= done < PICTURES // 64
    again = Job(engine, tmp_path)
    stdout, stderr = again.communicate(timeout=SECONDS)
    assert again.returncode == 0 and f"{done * 64:,} of {PICTURES} images are done already" in stderr
    assert stdout.startswith(f"{PICTURES} images, {done * 64:,} of them done before: ")
    assert_complete(tmp_path, expected)


@pytest.fixture
def short() -> Iterator[str]:
    """A folder with a short name, as names of sockets have to be short."""
    with tempfile.TemporaryDirectory(prefix="rt-", ignore_cleanup_errors=True) as name:
        yield name


def test_two_machines_of_which_one_is_killed(
    engine: Path, tmp_path: Path, expected: Counter[str], short: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both on the loopback interface; the second is killed once both have done a part."""
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    from ray.cluster_utils import Cluster

    usual = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 << 20}
    health = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
    cluster = Cluster(initialize_head=True, head_node_args={**usual, "temp_dir": short, "_system_config": health})
    try:
        second = cluster.add_node(**usual)
        job = Job(engine, tmp_path, "--address", cluster.address)
        wait_for_parts(job, tmp_path, 4)
        (raylet,) = second.all_processes["raylet"]
        os.kill(raylet.process.pid, signal.SIGKILL)
        stdout, stderr = job.communicate(timeout=SECONDS)
        assert job.returncode == 0 and "Traceback" not in stderr and "2 workers" in stderr
        assert stdout.startswith(f"{PICTURES} images: ")
        assert_complete(tmp_path, expected)
    finally:
        cluster.shutdown()
