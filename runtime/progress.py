"""How far long work has come, on stderr: a bar on a terminal, and elsewhere a line now and then."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

LINE_SECONDS = 30.0
"""Between two lines where stderr is no terminal; shorter work writes none."""


class ProgressBar(tqdm):  # type: ignore[misc]
    """tqdm's bar, for a log as well as for a terminal."""

    disable: bool

    def __init__(self, iterable: Iterable[Any] | None = None, *, shown: bool = True, **options: Any) -> None:
        """`shown` is whether anything is written at all; the other arguments are tqdm's."""
        self._on_terminal = sys.stderr is not None and sys.stderr.isatty()
        if not self._on_terminal:
            options |= {"mininterval": LINE_SECONDS, "maxinterval": LINE_SECONDS, "delay": LINE_SECONDS}
        super().__init__(iterable, disable=not shown or sys.stderr is None, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Draw the bar, or write it as a line of its own."""
        if self._on_terminal:
            super().display(msg, pos)
        elif text := str(self) if msg is None else msg:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Take the bar away. Lines stay as they are, without the carriage return that tqdm ends with."""
        if self._on_terminal or self.disable:
            super().close()
        else:
            self.disable = True
            self._decr_instances(self)
