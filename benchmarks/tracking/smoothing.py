"""What --smooth is worth: calm, tracks and average precision of both trained models, with and without it.

Films of the demonstration model are belts of machine parts; those of the model of nuclei are photographs that a camera
pans over.

python -m benchmarks.tracking smoothing [--films 8] [--frames 30] [--photos 20] [--nuclei FOLDER] [--json FILE]
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import click

from benchmarks.commands import json_option
from benchmarks.figures import write_figures
from benchmarks.images import unseen_bins
from benchmarks.machine import describe_machine
from benchmarks.networks import DEMO, NUCLEI, NUCLEI_LIMITS
from benchmarks.tracking.films import write_films
from yolact.cli.command import reports_errors
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.detector import Detector
from yolact.training.data.ground_truth import GroundTruth, read_ground_truth
from yolact.training.data.tracks import read_films
from yolact.training.evaluation.stability.photos import Photo, measure_photos
from yolact.training.evaluation.stability.report import summary, to_json_values
from yolact.training.evaluation.stability.video_report import labelled_summary
from yolact.training.evaluation.stability.videos import measure_videos
from yolact.training.models.checkpoints import load_checkpoint
from yolact.training.models.torch_engine import TorchEngine
from yolact.training.scenes.files import ANNOTATION_FILE, IMAGE_FOLDER, SceneRequest, write_scenes

SEED = 5000
"""Of bins and belts that the model was neither trained nor chosen on."""

_SIZE = (480, 640)
_WORKERS = os.cpu_count() or 1


@click.command()
@click.option("--films", default=8, type=click.IntRange(1), help="Of each model.", show_default=True)
@click.option("--frames", default=30, type=click.IntRange(2), help="Of each film.", show_default=True)
@click.option(
    "--photos", default=20, type=click.IntRange(1), help="That become films of known motion.", show_default=True
)
@click.option(
    "--nuclei",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the photographs: val.json and images.  [default: only bins]",
)
@json_option
@reports_errors
def main(films: int, frames: int, photos: int, nuclei: Path | None, json_path: Path | None) -> None:
    """Stability on photos, and tracks, stability and AP on annotated films, as found and smoothed."""
    figures: dict[str, Any] = {"machine": describe_machine(2), "films": films, "frames": frames, "photos": photos}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        still = unseen_bins(place / "bins", photos, SEED)
        write_scenes(SceneRequest(place / "belts", films, SEED, "bin", _SIZE, frames, _WORKERS))
        belts = read_ground_truth(place / "belts" / ANNOTATION_FILE, place / "belts" / IMAGE_FOLDER)
        figures["bins"] = measure(DEMO, PostprocessConfig(), still, belts)
        if nuclei is not None:
            still = read_ground_truth(nuclei / "val.json", nuclei / "images", photos)
            chosen = read_ground_truth(nuclei / "val.json", nuclei / "images", films)
            pans = read_ground_truth(*write_films(place / "pans", chosen, frames, SEED))
            figures["nuclei"] = measure(NUCLEI, NUCLEI_LIMITS, still, pans)
    write_figures(json_path, figures)


def measure(weights: Path, limits: PostprocessConfig, still: GroundTruth, films: GroundTruth) -> dict[str, Any]:
    """The figures of a model, which are printed too."""
    with Detector(TorchEngine(load_checkpoint(weights), limits)) as detector:
        measured = measure_photos(detector, [Photo(path) for path in still.paths], top_k=limits.max_detections)
        read = read_films(films)
        videos = measure_videos(detector, films, read, top_k=limits.max_detections).ways
    motions = to_json_values(measured)["motions"]
    for ways in motions.values():
        for values in ways.values():
            del values["over_time"]
    for line in (*summary(measured), "", *labelled_summary(videos, len(read)), ""):
        click.echo(line)
    seen = {way: {k: v for k, v in one.to_json().items() if k != "videos"} for way, one in videos.items()}
    return {"motions": motions, "videos": seen}


if __name__ == "__main__":
    main()
