"""What --smooth is worth: calm, tracks and average precision of the demonstration model, with and without it.

python -m benchmarks.tracking smoothing [--weights FILE] [--films 10] [--frames 30] [--photos 20] [--json FILE]
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from benchmarks.commands import json_option
from benchmarks.figures import write_figures
from benchmarks.machine import describe_machine
from benchmarks.tracking.films import write_films
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.detector import Detector
from yolact.runtime.images.image_files import write_image
from yolact.training.data.ground_truth import read_ground_truth
from yolact.training.data.tracks import read_films
from yolact.training.evaluation.stability.photos import Photo, measure_photos
from yolact.training.evaluation.stability.report import summary, to_json_values
from yolact.training.evaluation.stability.video_report import labelled_summary
from yolact.training.evaluation.stability.videos import measure_videos
from yolact.training.models.checkpoints import load_checkpoint
from yolact.training.models.torch_engine import TorchEngine
from yolact.training.scenes.shapes import SIZE, draw_shapes

DEMO = Path("examples", "yolact_demo_0_3100.pth")
SEED = 5000
"""Scenes that the model was neither trained nor chosen on."""


@click.command()
@click.option("--weights", type=click.Path(path_type=Path), default=DEMO, help="Of a model of flat shapes.")
@click.option("--films", default=10, type=click.IntRange(1), help="That a camera pans over.")
@click.option("--frames", default=30, type=click.IntRange(2), help="Of each.")
@click.option("--photos", default=20, type=click.IntRange(1), help="That become films of known motion.")
@json_option
def main(weights: Path, films: int, frames: int, photos: int, json_path: Path | None) -> None:
    """Stability on photos, and tracks, stability and AP on annotated films, as found and smoothed."""
    figures: dict[str, Any] = {"machine": describe_machine(2), "films": films, "frames": frames, "photos": photos}
    with (
        tempfile.TemporaryDirectory() as folder,
        Detector(TorchEngine(load_checkpoint(weights), PostprocessConfig())) as detector,
    ):
        place = Path(folder)
        paths = [place / f"{index:03}.png" for index in range(photos)]
        for index, path in enumerate(paths):
            write_image(path, draw_shapes(SEED, index, SIZE).image)
        measured = measure_photos(detector, [Photo(path) for path in paths])
        truth = read_ground_truth(*write_films(place / "films", films, frames, SEED))
        videos = measure_videos(detector, truth, read_films(truth)).ways
    motions = to_json_values(measured)["motions"]
    for ways in motions.values():
        for values in ways.values():
            del values["over_time"]
    figures["motions"] = motions
    figures["videos"] = {way: {k: v for k, v in one.to_json().items() if k != "videos"} for way, one in videos.items()}
    for line in (*summary(measured), "", *labelled_summary(videos, films)):
        click.echo(line)
    write_figures(json_path, figures)


if __name__ == "__main__":
    main()
