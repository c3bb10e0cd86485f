"""What workers get of a cluster."""

from __future__ import annotations

import itertools

import pytest

from yolact.batch.cluster import share_cores, share_gpus
from yolact.batch.part_files import PartSummary
from yolact.batch.plan import images_per_part
from yolact.batch.progress import Progress
from yolact.runtime.errors import UsageError

MACHINES = [[1], [2], [8], [1, 1], [3, 3], [2, 2, 2], [1, 7], [16, 4], [0, 4]]


@pytest.mark.parametrize("cores", MACHINES)
@pytest.mark.parametrize("workers", [1, 2, 3, 5, 40])
def test_all_workers_find_a_machine(cores: list[int], workers: int) -> None:
    """They are dealt out as Ray does: each to a machine that has so much left."""
    share = share_cores(cores, workers)
    placed = sum(int(count / share.cores + 1e-9) for count in cores)
    assert share.workers == workers <= placed and share.gpus == 0
    assert share.threads == max(1, int(share.cores))
    if share.cores >= 1:  # with more for each they would not all have a place
        assert sum(count // (int(share.cores) + 1) for count in cores) < workers


def test_workers_of_their_own_number() -> None:
    assert [share_cores(cores, None).workers for cores in MACHINES] == [1, 1, 4, 1, 2, 3, 3, 10, 2]
    assert share_gpus([4, 0, 8], None) == (12, 1, 1)
    assert share_gpus([2], 4) == (4, 1, 0.5) and share_gpus([2], 5).gpus * 3 == 1
    assert share_gpus([2], 1).gpus == 1 and share_gpus([2], 1).threads is None
    with pytest.raises(UsageError, match="Ray has no GPU on its machines"):
        share_gpus([0, 0], None)


def test_images_in_a_part() -> None:
    assert [images_per_part(images) for images in (1, 200_000, 262_144, 262_145, 1_000_000, 10**9)] == [
        *(64, 64, 64, 65, 245, 1024)
    ]


def test_lines_of_progress() -> None:
    clock, notes = itertools.count(0, 6.0), list[str]()
    before = [PartSummary(0, "", "", 100, 1, 7)]
    progress = Progress(1000, before, notes.append, clock.__next__)
    for number in range(1, 10):
        progress.add(PartSummary(number, "", "", 100, number == 3, 7))
    assert notes[0] == "100 of 1000 images are done already"
    assert notes[1] == "300 of 1,000 images, 16.7 images/s, 42 s left"
    assert notes[2] == "500 of 1,000 images, 16.7 images/s, 1 without a result, 30 s left"
    assert notes[-1] == "1,000 of 1,000 images, 16.7 images/s, 1 without a result"
