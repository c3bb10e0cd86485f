"""The loss of accuracy in half precision, emulated on a CPU: fp16 and bf16 beside fp32.

The demonstration model finds the parts in bins it was not trained on: average precision. Heads are compared with
PyTorch in float32, and detections with scores above 0.3 looked for again: that model's on some of the bins, and those
of the official configurations with random but lively weights on photos. Files in half precision are rounded as
`yolact.export.half_emulation` says; nothing here runs on a GPU.

    python -m benchmarks.accuracy precision [--bins 500] [--images FOLDER] [--json benchmarks/results/precision.json]
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.accuracy.tables import precision_accuracy, precision_heads
from benchmarks.commands import json_option
from benchmarks.figures import write_figures
from benchmarks.images import PHOTO_SIZE, UNSEEN_SEED, unseen_bins
from benchmarks.machine import describe_machine
from benchmarks.networks import DEMO, MANY_CANDIDATES, seeded_model
from yolact.cli.command import reports_errors
from yolact.export.comparison import compare_head, count_found_again
from yolact.export.half_emulation import emulate_half
from yolact.export.onnx_model import export_model
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.contract import HEADS, INPUT_NAME
from yolact.runtime.detector import Detector
from yolact.runtime.errors import UsageError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.check_image import make_check_image
from yolact.runtime.images.image_files import read_image
from yolact.runtime.images.preprocess import Preprocessor
from yolact.runtime.metadata import Precision
from yolact.runtime.onnx.session import open_session
from yolact.runtime.postprocess.postprocess import ImageHeads, NetworkDetections, postprocess
from yolact.training.evaluation.evaluate import evaluate
from yolact.training.models.checkpoints import load_checkpoint
from yolact.training.models.configs import CONFIGS
from yolact.training.models.model import Yolact
from yolact.training.models.seeded_weights import BACKGROUND_BIAS
from yolact.training.scenes.bins import draw_bin

PHOTOS, COMPARED_BINS = 4, 100
POSTPROCESS = PostprocessConfig()
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "bf16")

Heads = dict[str, NDArray[Any]]


def emulated(model: Yolact, precision: Precision, graph: Any) -> onnx.ModelProto:
    """The exported network in a form that ONNX Runtime computes with the roundings of the precision."""
    proto = export_model(model, POSTPROCESS, weights_sha256="", graph=graph, precision=precision)
    return proto if precision == "fp32" else emulate_half(proto)


def demo_scores(count: int, folder: Path) -> dict[str, dict[str, float | None]]:
    """Box and mask AP of the demonstration model by precision, on the first `count` bins."""
    truth = unseen_bins(folder / "bins", count)
    model = load_checkpoint(DEMO).eval()
    scores = {}
    for precision in PRECISIONS:
        path = folder / f"{precision}.onnx"
        onnx.save(emulated(model, precision, "full"), path)
        with Detector.open(path) as detector:
            found = evaluate(detector, truth).scores
        scores[precision] = {"box_ap": found.box.ap, "mask_ap": found.mask.ap}
    return scores


def pytorch_heads(model: Yolact, pixels: Image) -> Heads:
    """The heads of one image by PyTorch in float32, each (1, ...)."""
    with torch.inference_mode():
        expected = model(model.normalize(torch.from_numpy(pixels)))
    return {name: getattr(expected, name).numpy() for name in HEADS}


def detections(model: Yolact, heads: Heads) -> NetworkDetections:
    """The detections of one image from its heads."""
    return postprocess(ImageHeads(**{name: head[0] for name, head in heads.items()}), model.config, POSTPROCESS)


def head_differences(model: Yolact, images: list[Image]) -> dict[str, dict[str, float]]:
    """For each half precision the largest difference of each head over all images (see `compare_head`), the number of
    confident detections, and the number of those that were found again."""
    inputs = [Preprocessor(model.config.image_size)([image]) for image in images]
    references = [pytorch_heads(model, pixels) for pixels in inputs]
    rows = {}
    for precision in PRECISIONS[1:]:
        proto = emulated(model, precision, "raw")
        session = open_session(proto)
        row = dict.fromkeys([*HEADS, "found_again", "confident"], 0.0)
        for pixels, expected in zip(inputs, references, strict=True):
            found = dict(zip(HEADS, session.run(list(HEADS), {INPUT_NAME: pixels}), strict=True))
            for head in HEADS:
                row[head] = max(row[head], compare_head(head, found[head], expected[head], precision).largest)
            again, confident = count_found_again(detections(model, found), detections(model, expected))
            row["found_again"] += again
            row["confident"] += confident
        rows[precision] = row
    return rows


def read_photos(folder: Path | None) -> list[Image]:
    """Photos of the folder, at even distances in the order of their names; made-up photos without a folder."""
    if folder is None:
        return [make_check_image(480, 640 - 40 * seed, seed) for seed in range(PHOTOS)]
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not paths:
        raise UsageError(f"--images {folder}: there are no photos in it")
    return [read_image(paths[index]) for index in np.linspace(0, len(paths) - 1, PHOTOS).astype(int)]


@click.command()
@click.option("--bins", type=click.IntRange(1), default=500, show_default=True, help="Bins for average precision.")
@click.option(
    "--images",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Photos for the official networks.  [default: made-up ones]",
)
@json_option
@reports_errors
def main(bins: int, folder: Path | None, json_path: Path | None) -> None:
    """Compare half precisions with float32."""
    images = read_photos(folder)
    with tempfile.TemporaryDirectory() as temporary:
        scores = demo_scores(bins, Path(temporary))
    official = [CONFIGS[name] for name in BACKGROUND_BIAS if name != "yolact_resnet50_pascal"]
    compared = [draw_bin(UNSEEN_SEED, index, PHOTO_SIZE).image for index in range(COMPARED_BINS)]
    trained = {"yolact_demo": head_differences(load_checkpoint(DEMO).eval(), compared)}
    networks = {
        config.name: head_differences(seeded_model(config, MANY_CANDIDATES), images)
        for config in tqdm(official, disable=None)
    }
    figures = {
        "machine": {**describe_machine(os.cpu_count() or 1), "onnx": onnx.__version__},
        "demo": {"pictures": f"{bins} bins", "scores": scores},
        "trained": {"images": COMPARED_BINS, "of": "bins", "heads": trained},
        "official": {"images": len(images), "of": "made-up" if folder is None else "COCO", "heads": networks},
    }
    print(f"{precision_accuracy(figures)}\n\n{precision_heads(figures)}")
    write_figures(json_path, figures)
