"""Progress in a log: a line now and then, and none of a terminal's control characters."""

from __future__ import annotations

import re

import pytest

from yolact.runtime import progress
from yolact.runtime.progress import ProgressBar


@pytest.mark.parametrize("given", ["an iterable", "updates"])
def test_a_log_gets_lines(given: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    if given == "an iterable":
        assert list(ProgressBar(range(3), desc="measuring", unit=" parts")) == [0, 1, 2]
    else:
        with ProgressBar(total=3, desc="measuring", unit=" parts") as bar:
            for _ in range(3):
                bar.update()
    lines = capfd.readouterr().err.splitlines()
    assert lines and all(re.match(r"measuring: +\d+%", line) for line in lines), lines
    assert "3/3" in lines[-1]


def test_short_work_and_what_is_not_shown_write_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert list(ProgressBar(range(3))) == [0, 1, 2]
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    assert list(ProgressBar(range(3), shown=False)) == [0, 1, 2]
    assert capfd.readouterr().err == ""
