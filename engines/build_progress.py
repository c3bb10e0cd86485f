"""TensorRT's progress monitor as a progress bar."""

from __future__ import annotations

import threading
from typing import Any

from yolact.runtime.progress_bar import ProgressBar
from yolact.runtime.signals import HeldSignals


def make_monitor(module: Any, title: str, signals: HeldSignals) -> Any:
    """An `IProgressMonitor` of this TensorRT module: a bar on stderr, or nothing where stderr is no terminal.

    TensorRT nests phases and calls from several threads; the bar shows the phase that moved last. A signal cancels the
    build.
    """

    class Monitor(module.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            module.IProgressMonitor.__init__(self)
            self._lock = threading.Lock()
            self._phases: dict[str, tuple[int, int]] = {}  # name: steps done, steps in all
            self._bar = ProgressBar(desc=title, bar_format="{desc} {n}/{total} {elapsed}", leave=False)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            with self._lock:
                self._phases[phase_name] = (0, num_steps)
                self._show(phase_name)

        def step_complete(self, phase_name: str, step: int) -> bool:
            with self._lock:
                _, steps = self._phases.get(phase_name, (0, step + 1))
                self._phases[phase_name] = (step + 1, steps)
                self._show(phase_name)
                return signals.received is None

        def phase_finish(self, phase_name: str) -> None:
            with self._lock:
                self._phases.pop(phase_name, None)
                if self._phases:
                    self._show(next(reversed(self._phases)))

        def close(self) -> None:
            """Remove the bar."""
            self._bar.close()

        def _show(self, name: str) -> None:
            self._bar.n, self._bar.total = self._phases[name]
            self._bar.set_description_str(f"{title}: {name}")

    return Monitor()
