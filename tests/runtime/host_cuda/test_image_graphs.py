"""Runs of images that come again in the same sizes are recorded whole, from upload to download, on the host driver."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from host_cuda.host_driver import count, counted, fail_next
from host_cuda.host_tensorrt import TENSORRT_RTX, HostEngine

from yolact.runtime.cuda.kernels import KernelLibrary
from yolact.runtime.detector import Detector
from yolact.runtime.errors import YolactError
from yolact.runtime.images.arrays import Image
from yolact.runtime.onnx.engine import OnnxEngine
from yolact.runtime.tensorrt.engine import TensorRTEngine
from yolact.runtime.tensorrt.recorded_runs import MOST_RECORDED

Open = Callable[..., tuple[TensorRTEngine, HostEngine]]

SIZES = {"a": (20, 30), "b": (30, 20), "c": (9, 40), "L": (90, 120)}


class Runs:
    """A plan that is run with batches of white and black images, every answer compared with ONNX Runtime's."""

    def __init__(self, plan: TensorRTEngine, engine: Path) -> None:
        self._detector, self._onnx = Detector(plan), Detector(OnnxEngine(engine))
        self._number = 0

    def __call__(self, letters: str) -> tuple[int, bool]:
        """Run images of these sizes; returns how many graphs were recorded, and whether all was one graph launch."""
        return self.of([SIZES[letter] for letter in letters])

    def of(self, sizes: list[tuple[int, int]]) -> tuple[int, bool]:
        """The same for sizes (height, width)."""
        self._number += 1
        white = [bool((self._number + index) % 2) for index in range(len(sizes))]
        images: list[Image] = [np.full((*size, 3), 255 * on, np.uint8) for size, on in zip(sizes, white, strict=True)]
        with counted("captures") as captures, counted("puts") as puts:
            results = self._detector(images)
        for found, right, on in zip(results, self._onnx(images), white, strict=True):
            assert len(found) == 4 * on and found.rle() == right.rle() and found.boxes.tolist() == right.boxes.tolist()
        of_masks = 2 + sum(white) if any(white) else 0  # places, a kernel for each image, bits
        return captures[0], puts[0] - of_masks == 1


@pytest.fixture
def open_runs(open_plan: Open, kernels: KernelLibrary, engine: Path) -> Callable[..., Runs]:
    return lambda *batch, **options: Runs(open_plan(engine, *batch, kernels=kernels, **options)[0], engine)


PLAIN, RECORDED, REPLAYED = (0, False), (1, True), (0, True)
NETWORK_RECORDED = (1, False)


def test_sizes_that_come_twice_in_a_row_are_recorded(open_runs: Callable[..., Runs]) -> None:
    run = open_runs()
    seen = [
        run(letters) for letters in ("a", "a", "a", "b", "c", "b", "b", "a", "ab", "ba", "ba", "ab", "ab", "b", "ac")
    ]
    assert seen == [
        *(PLAIN, RECORDED, REPLAYED),
        *(NETWORK_RECORDED, PLAIN, PLAIN, RECORDED, REPLAYED),  # `a` is kept meanwhile
        *(PLAIN, NETWORK_RECORDED, RECORDED, PLAIN, RECORDED),  # a batch's order counts
        *(REPLAYED, PLAIN),  # and each of its sizes
    ]


def test_graphs_are_few_and_the_longest_unused_goes(open_runs: Callable[..., Runs]) -> None:
    run = open_runs(1, 1)
    sizes = [[(10 + index, 12)] for index in range(MOST_RECORDED + 2)]
    seen = [run.of(size) for size in sizes[:MOST_RECORDED] for _ in range(2)]
    assert seen == [PLAIN, RECORDED, NETWORK_RECORDED, RECORDED, *[PLAIN, RECORDED] * (MOST_RECORDED - 2)]
    held = count("execs")
    assert held == MOST_RECORDED + 1
    assert run.of(sizes[0]) == REPLAYED  # so that the second is the one unused the longest
    # A graph is only given up for sizes that come so often that it is worth while.
    assert [run.of(sizes[-1]) for _ in range(9)] == [*[PLAIN] * 7, RECORDED, REPLAYED]
    assert [run.of(sizes[-2]) for _ in range(7)] == [PLAIN] * 7
    assert [run.of(sizes[index]) for index in (0, 1, 2, -1)] == [REPLAYED, PLAIN, REPLAYED, REPLAYED]
    assert count("execs") == held


def test_graphs_go_before_the_memory_that_they_read(open_runs: Callable[..., Runs]) -> None:
    run = open_runs(1, 1)
    assert [run("a"), run("a"), run("b")] == [PLAIN, RECORDED, NETWORK_RECORDED]
    with counted("execs") as execs:
        assert run("L") == PLAIN  # the first for which the memory does not suffice
    assert execs == [-1]
    assert [run("a"), run("a"), run("L"), run("a")] == [PLAIN, RECORDED, PLAIN, REPLAYED]


def test_graphs_go_with_their_execution_context(open_runs: Callable[..., Runs]) -> None:
    """The host's TensorRT reports a graph that is launched after its context was freed."""
    run = open_runs(1, 12)
    images = [(4, 4)] * 12
    assert [run.of(images[:1]) for _ in range(2)] == [PLAIN, RECORDED]
    for size in range(2, 10):
        run.of(images[:size])
    assert count("execs") == 0
    assert [run.of(images[:1]) for _ in range(2)] == [PLAIN, RECORDED]


@pytest.mark.parametrize("options", [{"capturable": False}, {"trt": TENSORRT_RTX}])
def test_what_cannot_be_recorded_runs_without(open_runs: Callable[..., Runs], options: dict[str, object]) -> None:
    run = open_runs(**options)
    assert [run(letters) for letters in ("a", "a", "a", "ab", "ab")] == [PLAIN] * 5
    assert count("graphs") == count("execs") == 0


@pytest.mark.parametrize("function", ["host_cuda_launch", "cuMemcpyHtoDAsync", "cuGraphInstantiateWithFlags"])
def test_a_recording_that_fails_is_a_run_without(open_runs: Callable[..., Runs], function: str) -> None:
    run = open_runs()
    assert [run("a"), run("b")] == [PLAIN, NETWORK_RECORDED]
    fail_next(function, 900)
    assert [run(letters)[1] for letters in "bba"] == [False] * 3
    assert count("execs") == 1  # that of the network, which was there before


@pytest.mark.parametrize("function", ["cuGraphLaunch", "cuStreamSynchronize"])
def test_a_replay_that_fails_leaves_nothing_behind(open_runs: Callable[..., Runs], function: str) -> None:
    run = open_runs()
    run("ab"), run("ab"), run("c")
    for letters in ("ab", "c", "ab"):
        fail_next(function, 700)
        with pytest.raises(YolactError, match=f"{function} failed"):
            run("ab")
        run(letters)
    assert run("ab") == REPLAYED
