"""What a batch job is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from yolact.runtime.engine import DEFAULT_OPTIONS, EngineOptions
from yolact.runtime.results import MaskFormat


@dataclass(frozen=True)
class BatchRequest:
    """One job.

    Attributes:
        engine: an ONNX file or a TensorRT plan; on a cluster every machine has it under this path.
        input: a folder, a pattern, an image, a COCO annotation file or Parquet files: a path or a URI.
        output: folder of results, a path or a URI.
        images: of an annotation file the folder that its names are in; None for the folder that it lies in.
        column: of Parquet files the column with the bytes of images; None where only one can be meant.
        masks: how masks are written.
        score_threshold: detections that score lower are left out.
        batch_size: images that an engine gets at once; None for what suits it.
        workers: detectors at once on all machines together; None for one a GPU, or one for each two cores.
        address: of a running cluster, as `ray.init` takes it; None starts Ray on this machine alone.
        open_options: how each worker opens the engine.
        images_per_part: images whose results are one file; None to go by their number.
    """

    engine: Path
    input: str
    output: str
    images: str | None = None
    column: str | None = None
    masks: MaskFormat = "rle"
    score_threshold: float = 0.0
    batch_size: int | None = None
    workers: int | None = None
    address: str | None = None
    open_options: EngineOptions = DEFAULT_OPTIONS
    images_per_part: int | None = None
