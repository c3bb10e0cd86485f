"""Breaks the sources in one place at a time and shows which of these faults the tests notice.

    python tests/mutations [--only NAME...] [--list] [--tree DIR] [--json FILE] [--jobs N]

A change of the tests that makes them faster must leave as many mutations caught as before. All is done in a copy of the
repository. Exit code 0: every mutation was caught; 1: some survived; 2: the table does not fit the sources, or the
tests fail without any mutation.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import NamedTuple

from copied_tree import CopiedTree, Run
from cuda_mutations import CUDA_MUTATIONS
from export_mutations import EXPORT_MUTATIONS
from hub_mutations import HUB_MUTATIONS
from mutation import Mutation, TableError, check
from native_mutations import NATIVE_MUTATIONS
from runtime_mutations import RUNTIME_MUTATIONS
from serving_mutations import SERVING_MUTATIONS
from training_mutations import TRAINING_MUTATIONS
from video_mutations import VIDEO_MUTATIONS

MUTATIONS = (
    *CUDA_MUTATIONS,
    *NATIVE_MUTATIONS,
    *RUNTIME_MUTATIONS,
    *SERVING_MUTATIONS,
    *EXPORT_MUTATIONS,
    *HUB_MUTATIONS,
    *TRAINING_MUTATIONS,
    *VIDEO_MUTATIONS,
)
LONGEST = 900.0
"""Seconds that a test file may take without a mutation."""

GRACE = 60.0
"""Seconds that tests may take with a mutation, beside five times what they take without it: some loop for ever."""


OUTCOMES = ("caught", "survived", "broken")


class Result(NamedTuple):
    """What became of one mutation."""

    mutation: Mutation
    file: Path
    run: Run
    seconds: float

    @property
    def outcome(self) -> str:
        """One of OUTCOMES: `broken` where the tests say nothing about it."""
        outcomes = {"passed": "survived", "did not run": "broken"}
        return outcomes.get(self.run.end, "caught")


class Trees:
    """As many copies of a repository as there are jobs."""

    def __init__(self, tree: Path, folder: Path, jobs: int) -> None:
        self._free: SimpleQueue[CopiedTree] = SimpleQueue()
        for job in range(jobs):
            self._free.put(CopiedTree(tree, folder / str(job)))

    @contextmanager
    def one(self) -> Iterator[CopiedTree]:
        """A copy that nobody else uses for a while."""
        copy = self._free.get()
        try:
            yield copy
        finally:
            self._free.put(copy)

    def baseline(self, name: str) -> tuple[Run, float]:
        """A test file without any mutation, and how long it took."""
        with self.one() as copy:
            start = time.monotonic()
            run = copy.test([name], LONGEST)
        seconds = time.monotonic() - start
        say(f"{name}: {run.end} without a mutation, {seconds:.0f} s, {run.reason}")
        return run, seconds

    def attempt(self, mutation: Mutation, limit: float) -> Result:
        """Make a mutation and run its tests."""
        with self.one() as copy, copy.mutated(mutation) as file:
            start = time.monotonic()
            run = copy.test(mutation.tests, limit)
        result = Result(mutation, file, run, time.monotonic() - start)
        say(f"{result.outcome}: {mutation.name}, {result.seconds:.0f} s, {run.end}, {run.reason}")
        return result


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/mutations", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these mutations")
    parser.add_argument("--list", action="store_true", help="print the table, run nothing")
    parser.add_argument("--tree", type=Path, default=Path(__file__).resolve().parents[2], help="another checkout")
    parser.add_argument("--json", type=Path, help="write the results to this file too")
    parser.add_argument("--jobs", type=int, default=1, help="copies that are tested at the same time")
    options = parser.parse_args(arguments)
    unknown = set(options.only or ()) - {mutation.name for mutation in MUTATIONS}
    if unknown:
        parser.error(f"there is no mutation {', '.join(sorted(unknown))}; --list names them")
    options.tree = options.tree.resolve()
    return options


def run(tree: Path, mutations: Sequence[Mutation], jobs: int) -> list[Result]:
    """Test every mutation whose tests pass without it."""
    names = list(dict.fromkeys(name for mutation in mutations for name in mutation.tests))
    files = check(mutations, tree)
    with TemporaryDirectory(prefix="mutations-") as folder, ThreadPoolExecutor(jobs) as pool:
        trees = Trees(tree, Path(folder), jobs)
        baselines = dict(zip(names, pool.map(trees.baseline, names), strict=True))

        def result(mutation: Mutation, file: Path) -> Result:
            broken = [name for name in mutation.tests if baselines[name][0].end != "passed"]
            if broken:
                reason = f"{broken[0]} without a mutation: {baselines[broken[0]][0].reason}"
                return Result(mutation, file, Run("did not run", reason), 0.0)
            limit = GRACE + 5 * sum(baselines[name][1] for name in mutation.tests)
            return trees.attempt(mutation, limit)

        return list(pool.map(result, mutations, files))


def inline_code(text: str) -> str:
    """A text of any lines for a cell of a Markdown table."""
    return f"`{' '.join(text.split())}`".replace("|", "\\|")


def to_table(results: Sequence[Result]) -> str:
    """As Markdown."""
    lines = ["| mutation | file | was | is | outcome | seconds |", "|---|---|---|---|---|---|"]
    for one in results:
        change = f"{inline_code(one.mutation.old)} | {inline_code(one.mutation.new)}"
        lines.append(f"| {one.mutation.name} | {one.file} | {change} | {one.outcome} | {one.seconds:.0f} |")
    counts = [f"{sum(one.outcome == outcome for one in results)} {outcome}" for outcome in OUTCOMES]
    return "\n".join([*lines, "", f"{', '.join(counts)} of {len(results)}"])


def to_json(results: Sequence[Result]) -> str:
    rows = [
        {
            "name": one.mutation.name,
            "file": str(one.file),
            "old": one.mutation.old,
            "new": one.mutation.new,
            "tests": one.mutation.tests,
            "outcome": one.outcome,
            "end": one.run.end,
            "reason": one.run.reason,
            "seconds": round(one.seconds, 1),
        }
        for one in results
    ]
    return json.dumps(rows, indent=1) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    mutations = [one for one in MUTATIONS if options.only is None or one.name in options.only]
    try:
        files = check(mutations, options.tree)
    except TableError as error:
        say(str(error))
        return 2
    if options.list:
        for mutation, file in zip(mutations, files, strict=True):
            print(f"{mutation.name}: {file}: {inline_code(mutation.old)} becomes {inline_code(mutation.new)}")
        return 0
    results = run(options.tree, mutations, options.jobs)
    print(to_table(results))
    if options.json is not None:
        options.json.write_text(to_json(results), encoding="utf-8")
    outcomes = {one.outcome for one in results}
    return 2 if "broken" in outcomes else int("survived" in outcomes)


if __name__ == "__main__":
    sys.exit(main())
