"""`yolact-explain`: a picture of how a network arrives at its masks on one image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from yolact import __version__
from yolact.cli.command import check_fraction, reports_errors
from yolact.cli.model_options import check_model_options, model_options
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.errors import UsageError
from yolact.runtime.output_files import check_output
from yolact.training.models.weights import load_weights

if TYPE_CHECKING:
    from yolact.runtime.config import ModelConfig
    from yolact.runtime.images.arrays import Image
    from yolact.training.explain.explanation import Explanation

DRAWN = 15
"""Detections drawn on the image at most, as yolact-infer draws them; more where more are explained."""

_NAMED_PROTOTYPES = 4  # in the line about an instance


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("image_file", metavar="IMAGE", type=click.Path(path_type=Path))
@model_options
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Picture to write.  [default: <name of the image>-explained.png]",
)
@click.option("--instances", default=3, type=click.IntRange(min=1), help="Explain this many, the best ones.")
@click.option("--score-threshold", default=0.15, callback=check_fraction, help="Leave out detections that score lower.")
@click.version_option(__version__)
@reports_errors
def main(
    image_file: Path,
    engine: Path | None,
    weights: Path | None,
    config_name: str | None,
    output: Path | None,
    instances: int,
    score_threshold: float,
) -> None:
    """Show how masks come about on IMAGE: what was found, all prototypes, and for the best instances the prototypes
    that their masks are composed of.

    Prints a line for each instance explained: class, score, and the prototypes that contribute most inside its box
    with their coefficients.

    Exit codes: 0 done, 1 an input or the output failed, 2 wrong usage, 4 the engine does not fit this runtime, 130
    interrupted.
    """
    check_model_options(engine, weights, config_name)
    output = output or Path(f"{image_file.stem}-explained.png")
    # OpenCV reports on stderr what this command reports in a sentence; it reads this when it is loaded.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    from yolact.runtime.images.image_files import read_image, write_image
    from yolact.training.explain.pictures import explanation_sheet

    _check_output(output, [path for path in (image_file, engine, weights) if path is not None])
    image = read_image(image_file)
    if weights is not None:
        config, explanation = _explain_weights(weights, config_name, image, score_threshold)
    else:
        config, explanation = _explain_engine(engine, image)
    explanation = explanation.select(score_threshold, max(instances, DRAWN))
    write_image(output, explanation_sheet(image, explanation, config.class_names, instances))
    for line in _summary(explanation, config.class_names, instances):
        click.echo(line)
    click.echo(click.format_filename(f"wrote {output}"))


def _check_output(output: Path, inputs: list[Path]) -> None:
    """Fail before the model runs rather than after. Raises YolactError."""
    from yolact.runtime.images.image_files import WRITABLE_SUFFIXES

    if output.suffix.lower() not in WRITABLE_SUFFIXES:
        raise UsageError(f"--output {output}: expected a name that ends in {', '.join(WRITABLE_SUFFIXES)}")
    check_output("--output", output, inputs)


def _explain_engine(path: Path | None, image: Image) -> tuple[ModelConfig, Explanation]:
    """With the engine file, which `check_model_options` saw to be given."""
    assert path is not None
    from yolact.training.explain.explanation import EngineExplainer

    explain = EngineExplainer(path)
    return explain.metadata.config, explain(image)


def _explain_weights(
    path: Path, config_name: str | None, image: Image, score_threshold: float
) -> tuple[ModelConfig, Explanation]:
    """With a checkpoint and the official evaluation's post-processing, or a lower threshold where one is asked for."""
    model = load_weights(path, config_name)
    from yolact.training.explain.explanation import explain_network

    official = PostprocessConfig()
    settings = PostprocessConfig(min(score_threshold, official.score_threshold))
    return model.config, explain_network(model, image, settings)


def _summary(explanation: Explanation, class_names: tuple[str, ...], instances: int) -> Iterator[str]:
    if not len(explanation):
        yield "no detections"
    scores = explanation.ranking_scores
    for index in range(min(instances, len(explanation))):
        parts = explanation.compose(index, _NAMED_PROTOTYPES)
        named = zip(parts.indices.tolist(), parts.coefficients.tolist(), strict=True)
        prototypes = ", ".join(f"P{prototype} {coefficient:+.2f}" for prototype, coefficient in named)
        yield f"{class_names[explanation.found.class_ids[index]]} {scores[index]:.2f}: {prototypes}"


if __name__ == "__main__":
    main()
