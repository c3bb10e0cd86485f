"""The request for a batch job."""

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
        images: folder of the images of an annotation file; None for the folder of that file.
        column: column of Parquet files with the bytes of images; None where only one is possible.
        masks: how masks are written.
        score_threshold: detections with a lower score are left out.
        batch_size: images per call of an engine; None to choose by the engine.
        workers: parallel detectors on all machines together; None for one per GPU, or one per two cores.
        address: of a running cluster, as `ray.init` takes it; None starts Ray on this machine alone.
        open_options: how each worker opens the engine.
        images_per_part: images whose results are one file; None to choose by the number of images.
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
