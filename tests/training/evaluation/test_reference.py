"""When average precision of a reference can be judged by."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolact.runtime.errors import DatasetError
from yolact.training.evaluation.reference import check_reference


@pytest.mark.parametrize(("ap", "drop"), [(1.01, 0), (30, 0.5), (30, 29.9)])
def test_enough(ap: float, drop: float) -> None:
    check_reference(ap, Path("val.json"), drop)


@pytest.mark.parametrize(
    ("ap", "drop", "got", "least"),
    [
        (0, 0, "0.00, too near zero", "1"),
        (1, 0.5, "1.00, too near zero", "1"),
        (30, 30, "30.00, too near zero", "30"),
        (float("nan"), 0, "nan, too near zero", "1"),
        (None, 0, "not defined, as nothing is annotated", "1"),
    ],
)
def test_too_little(ap: float | None, drop: float, got: str, least: str) -> None:
    with pytest.raises(DatasetError) as caught:
        check_reference(ap, Path("val.json"), drop)
    assert f"on val.json is {got}, so nothing can be judged by it: expected more than {least};" in str(caught.value)
    assert caught.value.exit_code == 1
