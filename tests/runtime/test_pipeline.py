"""Stages that overlap: order, how much waits, failures in their turn, and that everything is closed."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator

import pytest
from waiting import wait_until

from yolact.runtime.pipeline import BETWEEN, run_stages


def stage(closed: list[str], name: str, change: Callable[[int], int]) -> Callable[[Iterable[int]], Iterator[int]]:
    def work(items: Iterable[int]) -> Generator[int, None, None]:
        try:
            for item in items:
                yield change(item)
        finally:
            closed.append(name)

    return work


def numbers(closed: list[str], count: int, taken: list[int]) -> Generator[int, None, None]:
    try:
        for number in range(count):
            taken.append(number)
            yield number
    finally:
        closed.append("source")


@pytest.mark.parametrize("ahead", [True, False])
def test_items_come_in_order_through_all_stages(ahead: bool) -> None:
    closed: list[str] = []
    taken: list[int] = []
    first, second = stage(closed, "first", lambda n: n + 1), stage(closed, "second", lambda n: n * 10)
    made = run_stages(numbers(closed, 50, taken), first, second, slowest=first, ahead=ahead)
    assert list(made) == [10 * n + 10 for n in range(50)]
    assert taken == list(range(50)) and sorted(closed) == ["first", "second", "source"]


def test_each_stage_works_while_the_others_do() -> None:
    """All three threads meet, which they could not one after the other."""
    meeting = threading.Barrier(3, timeout=30)
    closed: list[str] = []

    def meet(number: int) -> int:
        if number == 2:
            meeting.wait()
        return number

    def meet_as(other: int) -> Callable[[int], int]:
        return lambda number: meet(2) if number == other else number

    stages = stage(closed, "b", meet_as(1)), stage(closed, "c", meet_as(0))
    made = run_stages(map(meet_as(2), range(9)), *stages, slowest=stages[0])
    assert list(made)[-1] == 8


def test_no_more_than_a_few_items_wait() -> None:
    closed: list[str] = []
    taken: list[int] = []
    stages = stage(closed, "a", int), stage(closed, "b", int)
    made = run_stages(numbers(closed, 100, taken), *stages, slowest=stages[0])
    assert next(made) == 0
    most = 3 * (BETWEEN + 1) + 1
    wait_until(lambda: len(taken) == most)
    made.close()
    assert len(taken) <= most + 2 and sorted(closed) == ["a", "b", "source"]
    assert not [thread for thread in threading.enumerate() if thread.name == "yolact stage"]


@pytest.mark.parametrize("ahead", [True, False])
@pytest.mark.parametrize("where", ["source", "stage"])
def test_a_failure_comes_in_its_turn(ahead: bool, where: str) -> None:
    closed: list[str] = []

    def fail(number: int) -> int:
        if number == 5:
            raise ValueError("the fifth")
        return number

    source = map(fail, range(9)) if where == "source" else iter(range(9))
    only = stage(closed, "a", int if where == "source" else fail)
    made = run_stages(source, only, slowest=only, ahead=ahead)
    assert [next(made) for _ in range(5)] == list(range(5))
    with pytest.raises(ValueError, match="the fifth"):
        next(made)
    assert closed == ["a"] and list(made) == []


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority of their own on Linux alone -- use Linux")
def test_all_stages_but_the_slowest_give_way() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)

    def note(seen: Iterable[list[int]]) -> Iterator[list[int]]:
        for one in seen:
            yield [*one, os.getpriority(os.PRIO_PROCESS, threading.get_native_id())]

    def slow(seen: Iterable[list[int]]) -> Iterator[list[int]]:
        yield from note(seen)

    (priorities,) = run_stages(note([[]]), slow, note, slowest=slow)
    assert priorities == [min(19, before + 10), before, min(19, before + 10)]
    (priorities,) = run_stages(note([[]]), slow, note, slowest=slow, ahead=False)
    assert priorities == [before] * 3 and os.getpriority(os.PRIO_PROCESS, 0) == before
