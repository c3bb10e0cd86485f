"""The command `yolact-eval`: average precision of an engine file or a checkpoint on annotated images."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from yolact.cli.command import command, command_line, say
from yolact.cli.options.common import annotations_option, images_option, json_option, limit_option, max_pixels_option
from yolact.cli.options.engine import engine_options
from yolact.cli.options.model import ModelChoice, measured_options
from yolact.cli.options.postprocess import DetectionLimits, detection_limit_options
from yolact.cli.options.reading import reading_options
from yolact.cli.options.values import AT_LEAST_1, FILE, OUTPUT_FOLDER
from yolact.runtime.config import DISPLAY_TOP_K, PostprocessConfig
from yolact.runtime.engine import DEFAULT_OPTIONS
from yolact.runtime.errors import UsageError
from yolact.runtime.json_text import to_json
from yolact.runtime.output_files import check_output, check_output_folder, write_output, write_outputs
from yolact.training.torch_device import choose_device

if TYPE_CHECKING:
    from yolact.runtime.engine import Engine, EngineOptions
    from yolact.training.data.coco.reading_rules import ReadingRules
    from yolact.training.data.ground_truth import GroundTruth
    from yolact.training.data.tracks import Film
    from yolact.training.evaluation.evaluate import Evaluation
    from yolact.training.evaluation.report.findings import Subject
    from yolact.training.evaluation.stability.photos import Photo


@command("yolact-eval")
@measured_options
@annotations_option("Annotation file in COCO's format, such as instances_val2017.json.")
@images_option()
@click.option(
    "--video",
    "videos",
    metavar="FILE",
    type=FILE,
    multiple=True,
    help="With --stability instead of --images: a video without annotations; may be repeated.",
)
@reading_options("--annotations")
@json_option("Write all detections to this file as COCO's server takes them; with --stability, its figures.")
@click.option(
    "--report",
    metavar="DIR",
    type=OUTPUT_FOLDER,
    help="Folder for metrics.json and a page with curves, confusions, calibration and the worst images; created if "
    "needed.",
)
@click.option(
    "--stability",
    is_flag=True,
    help="Measure how steady masks and scores are from frame to frame: in films of known motion made from photos, in "
    "videos without annotations, or, with --annotations, in videos whose objects have track ids.",
)
@click.option(
    "--top-k",
    type=AT_LEAST_1,
    help=f"With --stability: most instances to measure per frame, the best ones.  [default: {DISPLAY_TOP_K}]",
)
@limit_option("Use only this many images, or frames of each --video, the first ones.  [default: all]")
@detection_limit_options
@engine_options
@max_pixels_option()
def main(
    model: ModelChoice,
    annotations: Path | None,
    images: Path | None,
    videos: tuple[Path, ...],
    json_file: Path | None,
    report: Path | None,
    stability: bool,
    top_k: int | None,
    limit: int | None,
    rules: ReadingRules,
    limits: DetectionLimits,
    open_options: EngineOptions,
) -> None:
    """Measure the accuracy of an engine file or of a checkpoint: COCO's average precision, in percent.

    COCO counts the best 100 detections of a class in an image. For a model that keeps more, all of them count, and the
    names of the figures say so.

    Every image of the annotation file counts, also those without annotations. For YOLACT++, boxes are ranked by class
    scores and masks by mask scores; the JSON has the scores that rank masks. An engine file has its post-processing
    built in: one exported with a higher score threshold than the default finds less.

    With --stability, each photo becomes films of noise, JPEGs, a pan, a zoom and changing light. Their motion is known
    exactly, so the detections shown in one frame are compared with those in the next. With --video FILE, the frames of
    a video are compared in place, or along an optical flow where something moves. With --annotations of videos, as
    yolact-scenes --frames writes them, tracks are scored by HOTA and IDF1 beside AP, both as found and smoothed.

    Exit codes: 0 done, 1 an input or the output failed, 2 wrong usage, 4 the engine does not fit this runtime, 130
    interrupted.
    """
    if model.is_checkpoint and open_options.metadata_file is not None:
        raise UsageError("--metadata belongs to --engine; a checkpoint has its own")
    if model.detections is not None and (stability or open_options != DEFAULT_OPTIONS):
        raise UsageError("--detections runs no model; leave out --stability and the options for opening an engine")
    data, outputs = _Data(annotations, images, videos, limit, top_k, rules), _Outputs(json_file, report)
    data.check(stability)
    outputs.check([model.path, open_options.metadata_file, annotations, images, *videos])
    shown = top_k or DISPLAY_TOP_K
    if videos:
        _measure_unlabelled(_open(model, open_options, limits), model.path, videos, limit, shown, outputs)
    elif annotations is None:
        assert images is not None
        photos = _photos(images, limit)
        outputs.check([photo.path for photo in photos])
        _measure_photos(_open(model, open_options, limits), model.path, images, photos, shown, outputs)
    else:
        truth = data.read()
        outputs.check(truth.paths)
        if stability:
            from yolact.training.data.tracks import read_films

            _measure_videos(read_films(truth), _open(model, open_options, limits), model.path, truth, shown, outputs)
        elif model.detections is not None:
            _evaluate_stored(model.detections, truth, limits, outputs)
        else:
            _evaluate(_open(model, open_options, limits), model.path, truth, limits, outputs)


class _Data(NamedTuple):
    """The options that name the data to measure on."""

    annotations: Path | None
    images: Path | None
    videos: tuple[Path, ...]
    limit: int | None
    top_k: int | None
    rules: ReadingRules

    def check(self, stability: bool) -> None:
        """Raise UsageError where options do not go together."""
        if self.top_k is not None and not stability:
            raise UsageError("--top-k is for --stability; all detections count in average precision")
        if self.videos and not stability:
            raise UsageError("--video is for --stability; average precision needs --annotations and --images")
        if self.videos and (self.images is not None or self.annotations is not None):
            raise UsageError("--video needs neither --images nor --annotations; measure them in a call of their own")
        if self.images is None and not self.videos:
            raise UsageError("expected --images, a folder of images" + (", or --video, a file" if stability else ""))
        if self.annotations is None and not stability:
            raise UsageError("expected --annotations, the file that belongs to --images; only --stability needs none")

    def read(self) -> GroundTruth:
        """The annotated images. Raises as `read_ground_truth` does."""
        from yolact.training.data.ground_truth import read_ground_truth

        assert self.annotations is not None and self.images is not None
        return read_ground_truth(self.annotations, self.images, self.limit, self.rules)


class _Outputs(NamedTuple):
    """The options that name the files to write."""

    json_file: Path | None
    report: Path | None

    def check(self, inputs: Sequence[Path | None]) -> None:
        """Fail before the evaluation rather than after it; creates the folder of the report."""
        if self.json_file is not None:
            check_output("--json", self.json_file, inputs)
        if self.report is not None:
            from yolact.training.evaluation.report.files import METRICS, PAGE

            check_output_folder("--report", self.report)
            for name in (PAGE, METRICS):
                check_output("--report", self.report / name, [*inputs, self.json_file])

    def write_stability(self, values: Mapping[str, Any], page: Callable[[], str]) -> None:
        """Write figures of stability, and a page of them, where they are asked for."""
        figures = to_json(values, indent=1).encode()
        if self.json_file is not None:
            write_output(self.json_file, figures)
        if self.report is not None:
            from yolact.training.evaluation.report.files import METRICS, PAGE

            write_outputs({self.report / METRICS: figures, self.report / PAGE: page().encode()})


def _evaluate(
    engine: Engine,
    model: Path,
    truth: GroundTruth,
    limits: DetectionLimits,
    outputs: _Outputs,
) -> None:
    """Measure, write what is asked for, and print the summary."""
    from yolact.runtime.detector import Detector
    from yolact.training.data.class_pairing import check_categories
    from yolact.training.evaluation.evaluate import evaluate
    from yolact.training.evaluation.report.findings import Subject

    metadata, most = engine.metadata, limits.max_detections
    with Detector(engine) as detector:
        pairs = check_categories(metadata.config, truth)
        evaluation = evaluate(detector, truth, batch_size=engine.min_batch, max_detections=most)
    kept = most or metadata.postprocess.max_detections
    _tell(evaluation, Subject(model, metadata, truth, pairs, kept, command_line()), outputs)


def _evaluate_stored(folder: str, truth: GroundTruth, limits: DetectionLimits, outputs: _Outputs) -> None:
    """Measure stored detections, write what is asked for, and print the summary."""
    from yolact.batch.results import BatchResults
    from yolact.runtime.file_digest import sha256_of
    from yolact.training.data.class_pairing import check_categories
    from yolact.training.evaluation.report.findings import Subject
    from yolact.training.evaluation.stored import evaluate_stored

    results = BatchResults.open(folder)
    metadata = results.metadata
    limits.check_built_in(metadata, Path(folder))
    if results.folder.is_local:
        outputs.check([Path(place.path) for place in results.files])
    pairs = check_categories(metadata.config, truth)
    digests = [sha256_of(path) for path in truth.paths]
    kept = limits.max_detections or metadata.postprocess.max_detections
    evaluation = evaluate_stored(results.find(set(digests)), digests, metadata.config, truth, kept)
    engine, digest = Path(results.identity.engine), results.identity.engine_sha256
    _tell(evaluation, Subject(engine, metadata, truth, pairs, kept, command_line(), digest), outputs)


def _tell(evaluation: Evaluation, subject: Subject, outputs: _Outputs) -> None:
    """Write what is asked for and print the summary."""
    from yolact.training.evaluation.report.findings import Findings
    from yolact.training.evaluation.report.summary import summary_lines

    if outputs.json_file is not None:
        write_output(outputs.json_file, to_json(evaluation.server_results()).encode())
    if outputs.report is not None:
        from yolact.training.evaluation.report.files import write_report

        write_report(outputs.report, Findings.of(subject, evaluation))
    for line in summary_lines(evaluation, subject):
        say(line)


def _photos(folder: Path, limit: int | None) -> list[Photo]:
    """The first photos of a folder, in the order of their names."""
    from yolact.runtime.sources import expand_source, is_image_file
    from yolact.training.evaluation.stability.photos import Photo

    sources = expand_source(f"{folder}{os.sep}")  # no camera, though it be called 0
    return [Photo(Path(source.location)) for source in sources if is_image_file(source)][:limit]  # type: ignore[arg-type]


def _measure_photos(
    engine: Engine,
    model: Path,
    images: Path,
    photos: Sequence[Photo],
    top_k: int,
    outputs: _Outputs,
) -> None:
    """Measure, write what is asked for, and print the summary."""
    from yolact.runtime.detector import Detector
    from yolact.training.evaluation.stability.photos import measure_photos
    from yolact.training.evaluation.stability.report import page, summary, to_json_values

    with Detector(engine) as detector:
        measured = measure_photos(detector, photos, top_k=top_k)
    outputs.write_stability(to_json_values(measured), lambda: page(measured, model.name, images.name))
    for line in summary(measured):
        say(line)


def _measure_unlabelled(
    engine: Engine,
    model: Path,
    videos: Sequence[Path],
    limit: int | None,
    top_k: int,
    outputs: _Outputs,
) -> None:
    """Measure videos without annotations, write what is asked for, and print the summary."""
    from yolact.runtime.detector import Detector
    from yolact.training.evaluation.stability.unlabelled import measure_video, to_json_values
    from yolact.training.evaluation.stability.video_report import page, summary

    with Detector(engine) as detector:
        measured = [measure_video(detector, path, limit, top_k=top_k) for path in videos]
    outputs.write_stability(to_json_values(measured), lambda: page(measured, model.name))
    for line in summary(measured):
        say(line)


def _measure_videos(
    films: Sequence[Film],
    engine: Engine,
    model: Path,
    truth: GroundTruth,
    top_k: int,
    outputs: _Outputs,
) -> None:
    """Measure tracks in annotated videos, write what is asked for, and print the summary."""
    from yolact.runtime.detector import Detector
    from yolact.training.data.class_pairing import check_categories
    from yolact.training.evaluation.stability.video_report import labelled_json_values, labelled_page, labelled_summary
    from yolact.training.evaluation.stability.videos import measure_videos

    with Detector(engine) as detector:
        check_categories(detector.metadata.config, truth)
        measured = measure_videos(detector, truth, films, top_k=top_k)
    values = labelled_json_values(measured)
    outputs.write_stability(values, lambda: labelled_page(measured, model.name, truth.source.name))
    for line in labelled_summary(measured.ways, len(films)):
        say(line)


def _open(model: ModelChoice, open_options: EngineOptions, limits: DetectionLimits) -> Engine:
    """The model; a checkpoint with the official evaluation's post-processing, but for the limits."""
    if not model.is_checkpoint:
        from yolact.runtime.engine_files import open_engine

        engine = open_engine(model.path, open_options)
        if engine.metadata.graph == "raw":
            engine.set_postprocess(limits.of(engine.metadata.postprocess))
        else:
            limits.check_built_in(engine.metadata, model.path)
        return engine
    settings = limits.of(PostprocessConfig())
    device = choose_device(open_options.device)
    from yolact.training.models.checkpoints import load_checkpoint
    from yolact.training.models.torch_engine import TorchEngine

    return TorchEngine(load_checkpoint(model.path, model.config_name).to(device), settings)


if __name__ == "__main__":
    main()
