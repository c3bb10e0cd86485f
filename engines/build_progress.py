"""TensorRT's progress monitor as a progress bar."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm


def make_monitor(module: Any, title: str) -> Any:
    """An `IProgressMonitor` of this TensorRT module; a bar on stderr, nothing where that is no terminal.

    TensorRT names nested phases. The bar follows the innermost one. An exception raised in a callback (Ctrl-C) must
    not travel through C++: it cancels the build, and `finish` raises it again.
    """

    class Monitor(module.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            module.IProgressMonitor.__init__(self)
            self._phases: dict[str, tuple[int, int]] = {}  # name: steps done, steps in all
            self._bar = tqdm(desc=title, bar_format="{desc} {n}/{total} {elapsed}", disable=None, leave=False)
            self._failure: BaseException | None = None

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._guard(lambda: self._begin(phase_name, num_steps))

        def step_complete(self, phase_name: str, step: int) -> bool:
            self._guard(lambda: self._advance(phase_name, step + 1))
            return self._failure is None

        def phase_finish(self, phase_name: str) -> None:
            self._guard(lambda: self._end(phase_name))

        def finish(self) -> None:
            """Close the bar; raises what ended the build."""
            self._bar.close()
            if self._failure is not None:
                raise self._failure

        def _guard(self, work: Any) -> None:
            try:
                work()
            except BaseException as failure:
                self._failure = failure

        def _begin(self, name: str, steps: int) -> None:
            self._phases[name] = (0, steps)
            self._show(name)

        def _advance(self, name: str, done: int) -> None:
            if name in self._phases:
                self._phases[name] = (done, self._phases[name][1])
                self._show(name)

        def _end(self, name: str) -> None:
            self._phases.pop(name, None)
            if self._phases:
                self._show(next(reversed(self._phases)))

        def _show(self, name: str) -> None:
            self._bar.n, self._bar.total = self._phases[name]
            self._bar.set_description_str(f"{title}: {name}")

    return Monitor()
