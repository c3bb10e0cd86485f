"""Which work of a plan is recorded as CUDA graphs, and for how many batch sizes, against the host driver."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import pytest
from host_cuda.batches import assert_identical, black_and_white
from host_cuda.host_driver import ForeignArray, count, counted, fail_next
from host_cuda.host_tensorrt import TENSORRT_RTX, CudaGraphStrategy, HostEngine, ProfilingVerbosity

from yolact.runtime.cuda.device import Device
from yolact.runtime.onnx.engine import OnnxEngine
from yolact.runtime.tensorrt.context import MOST_PREPARED
from yolact.runtime.tensorrt.engine import TensorRTEngine

Open = Callable[..., tuple[TensorRTEngine, HostEngine]]


def test_graphs_are_recorded_at_the_second_run_of_a_batch_size_and_replayed(open_plan: Open, engine: Path) -> None:
    plan, host = open_plan(engine)
    seen = []
    for pattern in ("w", "b", "w", "wb", "b", "bw", "w", "ww"):
        images = black_and_white(pattern)
        with counted("captures") as captures, counted("launches") as launches:
            assert_identical(plan.detect(images), OnnxEngine(engine).detect(images))
        seen.append((*captures, *launches))
    assert seen == [(0, 0), (1, 1), (0, 1), (0, 0), (0, 1), (1, 1), (0, 1), (0, 1)]
    assert len(host.contexts) == 2  # one for each recorded graph


def test_batch_sizes_that_were_not_asked_for_the_longest_are_forgotten(open_plan: Open, engine: Path) -> None:
    plan, host = open_plan(engine, 1, 12)
    for size in [1, 1, *range(2, 13), 1, 12, 1]:
        images = black_and_white("wb" * 6)[:size]
        with counted("launches") as launches:
            assert_identical(plan.detect(images), OnnxEngine(engine).detect(images))
        gc.collect()
        assert len(host.contexts) <= MOST_PREPARED
    assert launches == [1]  # 1 was prepared anew, and recorded when it came again
    assert len(host.contexts) == MOST_PREPARED


def test_profilers_are_told_nothing(open_plan: Open, engine: Path) -> None:
    """Whatever the plan was built with."""
    plan, host = open_plan(engine)
    plan.detect(black_and_white("w"))
    assert [context.nvtx_verbosity for context in host.contexts] == [ProfilingVerbosity.NONE]


def test_what_cannot_be_recorded_runs_without(open_plan: Open, engine: Path) -> None:
    plan, _ = open_plan(engine, capturable=False)
    for pattern in ("wb", "bw", "ww", "bb"):
        images = black_and_white(pattern)
        assert_identical(plan.detect(images), OnnxEngine(engine).detect(images))
    assert count("graphs") == count("execs") == 0


@pytest.mark.parametrize("function", ["cuStreamBeginCapture", "cuGraphInstantiateWithFlags"])
def test_a_driver_that_cannot_record(open_plan: Open, engine: Path, function: str) -> None:
    plan, _ = open_plan(engine)
    images = black_and_white("wb")
    expected = OnnxEngine(engine).detect(images)
    plan.detect(images)
    fail_next(function, 801)
    for _ in range(3):
        assert_identical(plan.detect(images), expected)
    assert count("execs") == 0


def test_tensorrt_for_rtx_records_by_itself(open_plan: Open, engine: Path) -> None:
    plan, host = open_plan(engine, trt=TENSORRT_RTX)
    with counted("captures") as captures:
        for pattern in ("wb", "bw", "ww"):
            images = black_and_white(pattern)
            assert_identical(plan.detect(images), OnnxEngine(engine).detect(images))
    assert captures == [0]
    (context,) = host.contexts
    assert context.settings.cuda_graph_strategy is CudaGraphStrategy.WHOLE_GRAPH_CAPTURE


def test_tensorrt_for_rtx_records_nothing_for_callers_arrays(open_plan: Open, engine: Path, device: Device) -> None:
    plan, host = open_plan(engine, trt=TENSORRT_RTX)
    context, images = plan.create_context(), ForeignArray(device, black_and_white("w"))
    context.enqueue(images)  # at addresses that may be others the next time, so that each would need its own graph
    assert [one.settings for one in host.contexts] == [TENSORRT_RTX.ExecutionContextAllocationStrategy.USER_MANAGED]
    context.close()
