"""Signals that are handled for a while, sent to this very process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from yolact.runtime.signals import KILLING, HeldSignals, StopRequest, handled, unwound

ALL = (signal.SIGINT, *KILLING)


class Came(Exception):
    """Raised by this test's own handler."""


@pytest.fixture(autouse=True)
def handlers() -> Iterator[Callable[..., None]]:
    """A handler of the test's own, which everything here has to put back."""

    def handler(number: int, _: object) -> None:
        raise Came(number)

    before = {number: signal.signal(number, handler) for number in ALL}
    wakeup = signal.set_wakeup_fd(-1)
    yield handler
    assert [signal.getsignal(number) for number in ALL] == [handler] * len(ALL)
    assert signal.set_wakeup_fd(wakeup) == -1
    for number, old in before.items():
        signal.signal(number, old)


def test_a_handler_takes_only_its_signals(handlers: Callable[..., None]) -> None:
    taken: list[int] = []
    with pytest.raises(Came, match=str(int(signal.SIGHUP))), handled([signal.SIGTERM], lambda n, _: taken.append(n)):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)
    assert taken == [signal.SIGTERM]


@pytest.mark.parametrize("number", ALL)
def test_held_signals_are_sent_again(number: int) -> None:
    """The last of them, also where what is inside fails."""
    with pytest.raises(Came) as caught, HeldSignals(ALL) as signals:
        assert signals.received is None
        signal.raise_signal(signal.SIGTERM)
        os.kill(os.getpid(), number)
        assert signals.received == number
        raise ValueError
    assert caught.value.args == (number,) and isinstance(caught.value.__context__, ValueError)


def test_signals_that_are_not_held_come_at_once() -> None:
    with pytest.raises(Came, match=str(int(signal.SIGHUP))), HeldSignals() as signals:
        signal.raise_signal(signal.SIGHUP)
    assert signals.received is None


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_the_second_ctrl_c_interrupts(first: int) -> None:
    with pytest.raises(KeyboardInterrupt), StopRequest() as stop:
        assert stop.signal == 0
        signal.raise_signal(first)
        assert stop.signal == first
        signal.raise_signal(signal.SIGTERM)
        assert stop.signal == signal.SIGTERM
        signal.raise_signal(signal.SIGINT)


def test_a_request_to_stop_is_not_sent_again() -> None:
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGTERM)
    assert stop.signal == signal.SIGTERM


def test_what_is_handled_is_not_unwound() -> None:
    """Commands raise an exception of their own for SIGTERM, which cleans up as well."""
    with pytest.raises(Came), unwound():
        signal.raise_signal(signal.SIGTERM)


def test_other_threads_are_left_alone() -> None:
    seen: list[object] = []

    def work() -> None:
        with HeldSignals() as signals, StopRequest() as stop, unwound():
            seen.extend([signals.received, stop.signal])

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    assert seen == [None, 0]
