"""Fixtures shared by all tests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--parity-table", type=Path, help="write the largest differences that the parity tests saw to this file"
    )


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded reference numbers beside the repository; its tests are skipped without it."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("the recorded reference numbers (../shared) are not on this machine")
    return folder


@pytest.fixture(scope="session")
def parity_log(request: pytest.FixtureRequest) -> Iterator[Callable[..., None]]:
    """Collects largest differences per configuration and runtime; see `--parity-table`."""
    table: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)

    def log(config: str, runtime: str, image: str, differences: dict[str, float]) -> None:
        row = table[config, runtime]
        for name, value in differences.items():
            row[name] = max(value, row.get(name, 0.0))

    yield log
    path = request.config.getoption("--parity-table")
    if path is not None:
        columns = list(dict.fromkeys(name for row in table.values() for name in row))
        lines = [f"| configuration | runtime | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
        for (config, runtime), row in table.items():
            cells = [f"{row[name]:.2g}" if name in row else "-" for name in columns]
            lines.append(f"| {config} | {runtime} | {' | '.join(cells)} |")
        path.write_text("\n".join(lines) + "\n")
