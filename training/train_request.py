"""A user's request for a training run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.errors import UsageError
from yolact.training.data.coco.reading_rules import USUAL, ReadingRules
from yolact.training.data.datasets import DatasetSpec
from yolact.training.settings import TrainSettings


@dataclass(frozen=True)
class TrainRequest:
    """The user's request.

    Attributes:
        config: architecture; the dataset's classes take the place of its own.
        settings: those that the numbers depend on.
        data: training data, see `datasets.DatasetSpec`.
        output: folder of the run.
        validation: data to measure average precision on, likewise; None for none.
        weights: see `initial_weights.initial_model`.
        resume: continue the run in ``output``.
        device: see `Processes`.
        workers: processes that prepare images, for each that trains.
        save_every: iterations between checkpoints, each with pictures and average precision.
        patience: validations in a row without a better mask AP after which the run ends; None to go on to the last
            iteration.
        wandb: log to Weights & Biases too.
        rules: how annotations and their images are read.
        postprocess: how the network's heads become detections where it is validated.
        program: the words that call the command, of which the page of the run tells.
        arguments: all of this as words of a command line, from which the run is resumed: see `run_record.RunRecord`.

    Raises UsageError where there is a patience without validation.
    """

    config: ModelConfig
    settings: TrainSettings
    data: str
    output: Path
    validation: str | None = None
    weights: Path | None = None
    resume: bool = False
    device: str = "auto"
    workers: int = 2
    save_every: int = 10_000
    patience: int | None = None
    wandb: bool = False
    rules: ReadingRules = USUAL
    postprocess: PostprocessConfig = field(default_factory=PostprocessConfig)
    program: tuple[str, ...] = ("yolact-train",)
    arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.patience is not None and self.validation is None:
            raise UsageError("--patience needs --val, the data on which mask AP is to get better")

    @property
    def data_as_read(self) -> str:
        """The part of the training data's options that the numbers depend on; a run goes on with the same."""
        return self.data if self.rules.exif == USUAL.exif else f"{self.data} --exif {self.rules.exif}"

    @property
    def specs(self) -> dict[str, DatasetSpec]:
        """The data by its use. Raises UsageError where a text describes none."""
        texts = {"training": self.data, "validation": self.validation}
        return {name: DatasetSpec.parse(text) for name, text in texts.items() if text is not None}

    def input_files(self) -> list[Path]:
        """The files that the run reads, but for the images. Raises UsageError where the data is none."""
        weights = [] if self.weights is None or self.resume else [self.weights, self.weights.with_suffix(".json")]
        return [*weights, *(spec.annotations for spec in self.specs.values() if not spec.scenes)]

    def image_folders(self) -> list[Path]:
        """The folders that the run reads images from. Raises UsageError where the data is none."""
        return [spec.images for spec in self.specs.values() if not spec.scenes]
