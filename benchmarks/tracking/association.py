"""How well trackers keep ids in videos with exact tracks, of detections with a detector's mistakes.

python -m benchmarks.tracking association [--videos 6] [--frames 60] [--json FILE]
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import click

from benchmarks.commands import json_option
from benchmarks.figures import write_figures
from benchmarks.machine import describe_machine
from benchmarks.tracking.contenders import Track, contenders
from benchmarks.tracking.reference import by_trackeval
from benchmarks.tracking.videos import SIZE, Truth, belt, crossing, detected
from yolact.runtime.detections import Detections
from yolact.training.evaluation.pairing import Annotated, pair_frame
from yolact.training.evaluation.track_scores import score_tracks

SEED = 100
"""Other films than those that the tracker's settings were chosen on."""

KINDS = {"belt": belt, "crossing": crossing}


@click.command()
@click.option("--videos", default=6, type=click.IntRange(1), help="Of each kind.")
@click.option("--frames", default=60, type=click.IntRange(2), help="Of each video.")
@json_option
def main(videos: int, frames: int, json_path: Path | None) -> None:
    """Belts of machine parts and shapes that cross, with the mistakes of a detector; HOTA and IDF1 of each tracker."""
    results: dict[str, dict[str, Any]] = {}
    largest = 0.0
    for kind, make in KINDS.items():
        films = [make(SEED, index, frames) for index in range(videos)]
        found = [list(detected(film, index)) for index, film in enumerate(films)]
        for name, track in contenders().items():
            results.setdefault(name, {})[kind], differs = _measure(track, films, found)
            largest = max(largest, differs)
            click.echo(f"{name} {kind} {results[name][kind]}")
    figures = {
        "machine": describe_machine(1, "numpy", "trackers", "trackeval"),
        "videos": videos,
        "frames": frames,
        "size": list(SIZE),
        "trackers": results,
        "largest_difference_from_trackeval": largest,
    }
    write_figures(json_path, figures)


def _measure(
    track: Track, films: Sequence[list[Truth]], found: Sequence[list[Detections]]
) -> tuple[dict[str, Any], float]:
    """The means of a tracker, and the largest difference of a score from TrackEval's."""
    start = time.perf_counter()
    tracked = [track(frames) for frames in found]
    seconds = time.perf_counter() - start
    scores, largest = [], 0.0
    for film, frames in zip(films, tracked, strict=True):
        rows = [
            pair_frame(Annotated(list(truth.masks), None, truth.instance_ids, ~truth.wanted), one)
            for truth, one in zip(film, frames, strict=True)
        ]
        score = score_tracks(rows)
        assert score is not None
        scores.append(score)
        reference = by_trackeval(rows)
        if reference is not None:
            largest = max(largest, abs(reference[0] - score.hota), abs(reference[1] - score.idf1))
    means = {
        name: round(fmean(getattr(score, name) for score in scores), 4) for name in ("hota", "association", "idf1")
    }
    counts = {name: sum(getattr(score, name) for score in scores) for name in ("switches", "objects", "tracks")}
    milliseconds = round(1000 * seconds / sum(map(len, found)), 2)
    return {**means, **counts, "ms_a_frame": milliseconds}, largest


if __name__ == "__main__":
    main()
