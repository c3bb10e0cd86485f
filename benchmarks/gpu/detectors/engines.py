"""Whole detectors around engines of the runtime: ONNX Runtime's providers, TensorRT.

Not yet run on a GPU; on a CPU the tests run them with ONNX Runtime's own provider.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.gpu.detectors.agreement import Found
from benchmarks.gpu.detectors.pytorch import Contender
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.detections import in_image
from yolact.runtime.engine import DeviceChoice, Engine, ImageEngine
from yolact.runtime.errors import YolactError
from yolact.runtime.images.preprocess import Preprocessor
from yolact.runtime.metadata import Precision
from yolact.runtime.output_files import replacing
from yolact.training.models.model import Yolact


class EngineContender(Contender):
    """The steps of the runtime: the CPU resizes images and enlarges masks, the engine does everything between."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._preprocess = Preprocessor(engine.metadata.config.image_size)
        self.stages = {
            "prepare": self._prepare_stage,
            "network and postprocess": self._engine_stage,
            "masks": self._masks_stage,
        }

    def _prepare_stage(self) -> None:
        self._pixels = self._preprocess(self.images)

    def _engine_stage(self) -> None:
        self._detections = self._engine.detect(self._pixels)

    def _masks_stage(self) -> None:
        self._found = []
        for image, detections in zip(self.images, self._detections, strict=True):
            found = in_image(detections, image.shape[:2])
            self._found.append(Found(found.boxes, found.scores, found.class_ids, list(found.iter_masks())))

    def found(self) -> list[Found]:
        """What the last run found in each image."""
        return self._found

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()


class ImageContender(Contender):
    """The runtime's own way on a plan: the GPU resizes images, runs the engine and enlarges masks to bits."""

    def __init__(self, engine: ImageEngine) -> None:
        if not engine.takes_images:
            raise YolactError("expected kernels for this GPU, which resize images and enlarge masks, got none")
        self._engine = engine
        self.stages = {"images to masks": self._find_stage}

    def _find_stage(self) -> None:
        self._detections = self._engine.find(self.images)

    def found(self) -> list[Found]:
        """What the last run found in each image."""
        return [Found(one.boxes, one.scores, one.class_ids, list(one.iter_masks())) for one in self._detections]

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()


def export(model: Yolact, config: PostprocessConfig, precision: Precision, folder: Path) -> Path:
    """The ONNX file of a network for any batch; an existing file of this name is taken as it is."""
    import onnx

    from yolact.export.onnx_model import export_model

    path = folder / f"{model.config.name}-{precision}.onnx"
    if not path.is_file():
        with replacing(path) as partial:
            onnx.save(export_model(model, config, weights_sha256="", precision=precision), partial)
    return path


def open_onnx(kind: str, export_file: Callable[[], Path]) -> Contender:
    """A contender on ONNX Runtime's provider `cpu`, `cuda` or `tensorrt`."""
    from yolact.runtime.onnx.engine import OnnxEngine

    return EngineContender(OnnxEngine(export_file(), device=DeviceChoice.parse(kind)))


def open_plan(module: str, export_file: Callable[[], Path], batch: int, row: dict[str, Any]) -> Engine:
    """A plan for exactly this batch, built by `tensorrt` or `tensorrt_rtx` unless an earlier call of the check has.

    The row gets the seconds of the build.
    """
    from yolact.engines.build_options import BuildOptions
    from yolact.engines.builder import build_plan
    from yolact.engines.builder_choice import choose_builder
    from yolact.runtime.engine_files import open_engine
    from yolact.runtime.onnx.exported_model import read_exported_model

    path = export_file()
    plan = path.with_name(f"{path.stem}-{module}-{batch}.plan")
    if not plan.is_file():
        options = BuildOptions(min_batch=batch, opt_batch=batch, max_batch=batch)
        tensorrt = choose_builder(options, module)
        start = time.perf_counter()
        built = build_plan(read_exported_model(path), options, tensorrt)
        row["build_seconds"] = round(time.perf_counter() - start, 1)
        row["plugins"] = list(built.identity.plugins)
        built.save(plan)
    return open_engine(plan)
