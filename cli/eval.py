"""`yolact-eval`: average precision of an engine file or a checkpoint on annotated images."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from yolact import __version__
from yolact.cli.command import reports_errors, running_options
from yolact.cli.model_options import check_model_options, model_options
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.engine import DeviceChoice
from yolact.runtime.errors import UsageError
from yolact.runtime.output_files import check_output, write_output
from yolact.runtime.wording import count_noun
from yolact.training.models.weights import check_torch, load_weights

if TYPE_CHECKING:
    from yolact.runtime.engine import Engine
    from yolact.runtime.metadata import ModelMetadata
    from yolact.training.data.ground_truth import GroundTruth
    from yolact.training.evaluation.evaluate import Evaluation
    from yolact.training.evaluation.scores import RegionScores


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@model_options
@click.option(
    "--annotations",
    required=True,
    type=click.Path(path_type=Path),
    help="Annotation file in COCO's format, such as instances_val2017.json.",
)
@click.option(
    "--images",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of its images.",
)
@click.option(
    "--json",
    "json_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write all detections to this file, as COCO's server takes them.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Take only the first so many images.  [default: all]")
@running_options
@click.version_option(__version__)
@reports_errors
def main(
    engine: Path | None,
    weights: Path | None,
    config_name: str | None,
    annotations: Path,
    images: Path,
    json_file: Path | None,
    limit: int | None,
    device: DeviceChoice | None,
    metadata_file: Path | None,
    allow_host_code: bool,
) -> None:
    """Measure the accuracy of an engine file or of a checkpoint: COCO's average precision, in percent.

    Every image of the annotation file counts, also those without annotations. Of YOLACT++, boxes are ranked by class
    scores and masks by mask scores; the scores in the JSON are those that rank masks. An engine file has its
    post-processing built in: one exported with a higher score threshold than the default finds less.

    Exit codes: 0 done, 1 an input or the output failed, 2 wrong usage, 4 the engine does not fit this runtime, 130
    interrupted.
    """
    check_model_options(engine, weights, config_name)
    if weights is not None and metadata_file is not None:
        raise UsageError("--metadata belongs to --engine; a checkpoint has its own")
    inputs = [path for path in (engine, weights, annotations) if path is not None]
    if json_file is not None:
        check_output("--json", json_file, inputs)
    # OpenCV reports on stderr what this command reports in a sentence; it reads this when it is loaded.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    from yolact.runtime.detector import Detector
    from yolact.runtime.engine_files import open_engine
    from yolact.training.data.ground_truth import check_categories, read_ground_truth
    from yolact.training.evaluation.evaluate import evaluate

    truth = read_ground_truth(annotations, images, limit)
    if json_file is not None:
        check_output("--json", json_file, truth.paths)
    if engine is not None:
        opened = open_engine(engine, device=device, metadata_file=metadata_file, allow_host_code=allow_host_code)
    else:
        assert weights is not None  # as `check_model_options` saw
        opened = _load(weights, config_name, device)
    with Detector(opened) as detector:
        check_categories(detector.metadata.config, truth)
        evaluation = evaluate(detector, truth, batch_size=opened.min_batch)
        if json_file is not None:
            write_output(json_file, json.dumps(evaluation.server_results()).encode())
        for line in _summary(evaluation, truth, detector.metadata):
            click.echo(click.format_filename(line))


def _load(weights: Path, config_name: str | None, device: DeviceChoice | None) -> Engine:
    """The checkpoint with the official evaluation's post-processing."""
    check_torch()
    import torch

    from yolact.training.models.torch_engine import TorchEngine

    device = device or DeviceChoice("cpu")
    if device.kind == "tensorrt":
        raise UsageError("--device tensorrt is for ONNX files; a checkpoint runs on cpu or cuda")
    try:
        torch.zeros(1, device=str(device))
    except (RuntimeError, AssertionError) as error:  # PyTorch without CUDA raises the latter
        reason = str(error).partition("\n")[0]
        raise UsageError(f"--device {device}: PyTorch cannot use it ({reason}); choose cpu") from None
    return TorchEngine(load_weights(weights, config_name).to(str(device)), PostprocessConfig())


def _summary(evaluation: Evaluation, truth: GroundTruth, metadata: ModelMetadata) -> Iterator[str]:
    """Lines of the report."""
    config, settings = metadata.config, metadata.postprocess
    objects = truth.count_objects()
    yield (
        f"{config.name}, {config.image_size}x{config.image_size}, on {truth.source.name}: "
        f"{count_noun(len(truth.images), 'image')}, {count_noun(objects.total(), 'object')}"
    )
    yield (
        f"scores above {settings.score_threshold:g}, {settings.nms} NMS at IoU {settings.nms_threshold:g}, "
        f"{settings.max_detections} detections an image at most"
    )
    yield ""
    yield "      " + "".join(f"{title:>8}" for title in ("AP", "AP50", "AP75", "S", "M", "L", "AR100"))
    yield _score_line("box", evaluation.scores.box)
    yield _score_line("mask", evaluation.scores.mask)
    yield ""
    yield from _category_lines(evaluation, truth, objects)
    yield ""
    both = evaluation.detector_ms + evaluation.mask_ms
    yield (
        f"median of an image: {evaluation.detector_ms:.1f} ms to detections (resizing, network, post-processing), "
        f"{evaluation.mask_ms:.1f} ms to masks"
    )
    yield f"{1000 / both:.1f} images/s with both, without reading files and scoring"


def _category_lines(evaluation: Evaluation, truth: GroundTruth, objects: Counter[int]) -> Iterator[str]:
    present = [id for id in truth.categories if objects[id]]
    width = max(len(name) for name in ("class", *(truth.categories[id] for id in present)))
    yield f"{'class':<{width}}  {'objects':>8}{'box AP':>8}{'mask AP':>8}"
    for id in present:
        by_category = (region.ap_by_category[id] for region in (evaluation.scores.box, evaluation.scores.mask))
        cells = "".join(f"{_percent(value):>8}" for value in by_category)
        yield f"{truth.categories[id]:<{width}}  {objects[id]:>8}{cells}"
    absent = len(truth.categories) - len(present)
    if absent:
        yield f"and {count_noun(absent, 'class')} without objects"


def _score_line(title: str, scores: RegionScores) -> str:
    values = (scores.ap, scores.ap50, scores.ap75, scores.ap_small, scores.ap_medium, scores.ap_large, scores.ar100)
    return f"{title:<6}" + "".join(f"{_percent(value):>8}" for value in values)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


if __name__ == "__main__":
    main()
