"""The command `yolact-explain`: a picture of how a network arrives at its masks on one image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from yolact.cli.command import command, say
from yolact.cli.options.common import max_pixels_option, score_threshold_option
from yolact.cli.options.model import ModelChoice, model_options
from yolact.cli.options.values import AT_LEAST_1, FILE, OUTPUT_FILE
from yolact.runtime.config import DISPLAY_TOP_K, PostprocessConfig
from yolact.runtime.output_files import check_output
from yolact.training.torch_device import check_torch

if TYPE_CHECKING:
    from yolact.runtime.config import ModelConfig
    from yolact.runtime.images.arrays import Image
    from yolact.training.explain.explanation import Explanation

_NAMED_PROTOTYPES = 4  # in the line about an instance


@command("yolact-explain")
@click.argument("image_file", metavar="IMAGE", type=FILE)
@model_options
@click.option(
    "--output", metavar="FILE", type=OUTPUT_FILE, help="Picture to write.  [default: <name of the image>-explained.png]"
)
@click.option("--instances", default=3, type=AT_LEAST_1, help="Number of instances to explain, the best ones.")
@score_threshold_option()
@max_pixels_option()
def main(image_file: Path, model: ModelChoice, output: Path | None, instances: int, score_threshold: float) -> None:
    """Show how the masks on IMAGE come about: the detections, all prototypes, and for the best instances the prototypes
    that their masks are composed of.

    Prints a line for each instance explained: its class, its score, and the prototypes that contribute most inside its
    box, each with its mask coefficient.

    Exit codes: 0 done, 1 an input or the output failed, 2 wrong usage, 4 the engine does not fit this runtime, 130
    interrupted.
    """
    output = output or Path(f"{image_file.stem}-explained.png")
    from yolact.runtime.images.image_files import read_image, write_image
    from yolact.runtime.images.suffixes import WRITABLE_SUFFIXES
    from yolact.training.explain.pictures import explanation_sheet

    check_output("--output", output, [image_file, model.path], WRITABLE_SUFFIXES)
    image = read_image(image_file)
    if model.is_checkpoint:
        config, explanation = _explain_checkpoint(model, image, score_threshold)
    else:
        config, explanation = _explain_engine(model.path, image)
    explanation = explanation.select(score_threshold, max(instances, DISPLAY_TOP_K))
    write_image(output, explanation_sheet(image, explanation, config.class_names, instances))
    for line in _summary(explanation, config.class_names, instances):
        say(line)
    say(f"wrote {output}")


def _explain_engine(path: Path, image: Image) -> tuple[ModelConfig, Explanation]:
    from yolact.training.explain.explanation import EngineExplainer

    explain = EngineExplainer(path)
    return explain.metadata.config, explain(image)


def _explain_checkpoint(choice: ModelChoice, image: Image, score_threshold: float) -> tuple[ModelConfig, Explanation]:
    """With the official evaluation's post-processing, or a lower threshold where one is asked for."""
    check_torch()
    from yolact.training.explain.explanation import explain_network
    from yolact.training.models.checkpoints import load_checkpoint

    model = load_checkpoint(choice.path, choice.config_name)
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
