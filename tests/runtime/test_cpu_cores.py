"""The cores that this process may use, with and without what Linux tells of them."""

from __future__ import annotations

import os
from pathlib import Path

import missing
import pytest

from yolact.runtime import cpu_cores

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason=missing.LINUX)


@pytest.mark.parametrize(
    ("usable", "siblings", "expected"),
    [
        ({0, 1, 2, 3}, {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}, (4, 2)),
        ({0, 2}, {0: "0,2", 2: "0,2"}, (2, 1)),
        ({1, 5}, {1: "1", 5: "5"}, (2, 2)),
        ({0, 1, 2}, {0: "0"}, (3, 3)),  # it tells of one core alone
    ],
)
def test_hardware_threads_of_a_core_count_once(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    usable: set[int],
    siblings: dict[int, str],
    expected: tuple[int, int],
) -> None:
    for cpu, text in siblings.items():
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{text}\n")
    monkeypatch.setattr(cpu_cores, "_CPUS", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: usable)
    assert (cpu_cores.usable_cores(), cpu_cores.physical_cores()) == expected


def test_without_affinity_all_cores_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert cpu_cores.usable_cores() == cpu_cores.physical_cores() == os.cpu_count()
