"""The progress monitor, called as TensorRT calls it: from threads of its own, while the main thread is busy."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from yolact.engines.build_progress import make_monitor
from yolact.runtime.signals import HeldSignals


class Module:
    """What a monitor needs of a TensorRT module."""

    class IProgressMonitor:
        def __init__(self) -> None:
            pass


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_many_threads_at_once(switching: None) -> None:
    monitor = make_monitor(Module, "building", HeldSignals())
    failures: list[BaseException] = []

    def phases(thread: int) -> None:
        try:
            for phase in range(300):
                name = f"{thread}-{phase % 7}"
                monitor.phase_start(name, None, 3)
                assert all(monitor.step_complete(name, step) for step in range(3))
                monitor.phase_finish(name)
                monitor.step_complete(name, 5)  # late, of a phase that is over
                monitor.phase_finish(name)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=phases, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    monitor.close()
    assert not failures


def test_other_threads_hear_of_a_signal_at_once() -> None:
    """While the main thread is in a call that lets no handler of Python run."""
    answers: list[bool] = []
    with pytest.raises(KeyboardInterrupt), HeldSignals() as signals:
        monitor = make_monitor(Module, "building", signals)

        def steps() -> None:
            monitor.phase_start("build", None, 9)
            answers.append(monitor.step_complete("build", 0))
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
            answers.append(monitor.step_complete("build", 1))
            answers.append(monitor.step_complete("build", 2))

        worker = threading.Thread(target=steps)
        previous = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        assert signal.SIGINT not in previous
        worker.start()
        worker.join()
        monitor.close()
    assert answers == [True, False, False]
