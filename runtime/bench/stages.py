"""The steps of `Detector` from image files to masks, each of them timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np

from yolact.runtime.bench.copy_clock import CopyClock
from yolact.runtime.bench.photos import EncodedImage
from yolact.runtime.detections import Detections, in_image
from yolact.runtime.errors import UsageError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.preprocess import Preprocessor
from yolact.runtime.postprocess.postprocess import NetworkDetections
from yolact.runtime.selection import Selection
from yolact.runtime.tensorrt.engine import TensorRTEngine
from yolact.runtime.tensorrt.flavour import FLAVOURS

if TYPE_CHECKING:
    from yolact.runtime.onnx.engine import OnnxEngine
    from yolact.runtime.openvino.engine import OpenVinoEngine

MaskForm = Literal["full", "rle"]

Stage = Literal["decode", "preprocess", "host_to_device", "engine", "device_to_host", "postprocess", "end_to_end"]

MAKE_MASKS: dict[MaskForm, Callable[[Detections], object]] = {
    "full": lambda found: found.masks,
    "rle": Detections.rle,
}


class StagedEngine(Protocol):
    """An engine file whose work is done in steps.

    Attributes:
        software: the runtime and its version.
    """

    software: str

    def check_batch(self, count: int) -> None:
        """Raise UsageError unless this many images can run at once."""

    def prepare(self, images: Sequence[Image]) -> Any:
        """The CPU's part of the work on a batch (H, W, 3) before it goes to the engine."""

    def run(self, prepared: Any) -> tuple[Any, dict[Stage, float]]:
        """Outputs of a batch, and the milliseconds of the copies to the device and back.

        An engine on the CPU, and one whose copies cannot be timed apart, has no entry for them.
        """

    def collect(self, outputs: Any) -> Sequence[Any]:
        """The detections in each image."""

    def finish(
        self, found: Sequence[Any], sizes: Sequence[tuple[int, int]], top_k: int | None = None
    ) -> list[Detections]:
        """The best `top_k` detections, or all, in images of these sizes (height, width)."""

    def close(self) -> None:
        """Free the resources of the steps; the engine stays open."""


class OnnxSteps:
    """An ONNX file in ONNX Runtime or OpenVINO. On a GPU these copy by themselves, so the engine's time includes the
    copies."""

    def __init__(self, engine: OnnxEngine | OpenVinoEngine) -> None:
        self.software = engine.software
        self._engine = engine
        self.prepare: Callable[[Sequence[Image]], Image] = Preprocessor(engine.metadata.config.image_size)
        self.collect = engine.collect

    def check_batch(self, count: int) -> None:
        """See StagedEngine."""
        fixed, most = self._engine.min_batch, self._engine.max_batch
        if most is not None and fixed < most < count:
            raise UsageError(f"with --device tensorrt a file takes batches of up to {most}, got --batch {count}")
        if fixed == most and count != fixed:
            raise UsageError(
                f"this file was exported for batches of {fixed}, got --batch {count}; leave --batch out, or export it "
                "with yolact-export --batch dynamic"
            )

    def run(self, prepared: Image) -> tuple[Any, dict[Stage, float]]:
        """See StagedEngine."""
        return self._engine.run(prepared), {}

    def finish(
        self, found: Sequence[NetworkDetections], sizes: Sequence[tuple[int, int]], top_k: int | None = None
    ) -> list[Detections]:
        """See StagedEngine."""
        return _on_cpu(found, sizes, top_k)

    def close(self) -> None:
        """There is nothing to free."""


class TensorRTSteps:
    """A TensorRT plan, in a context of its own."""

    def __init__(self, engine: TensorRTEngine) -> None:
        module = engine.plan.trt
        title = next(flavour.title for flavour in FLAVOURS if flavour.module == module.__name__)
        self.software = f"{title} {module.__version__}"
        self._engine, self._clock = engine, CopyClock(engine.device)
        self._context = engine.create_context(self._clock)
        self.check_batch = engine.plan.check_batch
        self._preprocess = Preprocessor(engine.metadata.config.image_size)
        self._makes_masks = engine.takes_images and engine.metadata.graph == "full"

    def prepare(self, images: Sequence[Image]) -> Any:
        """See StagedEngine."""
        return images if self._engine.takes_images else self._preprocess(images)

    def run(self, prepared: Any) -> tuple[Any, dict[Stage, float]]:
        """See StagedEngine."""
        run = self._context.run_images if self._engine.takes_images else self._context.run
        outputs = run(prepared)
        return outputs, {
            "host_to_device": self._clock.host_to_device_ms,
            "device_to_host": self._clock.device_to_host_ms,
        }

    def collect(self, outputs: Any) -> Sequence[Any]:
        """See StagedEngine."""
        return outputs if self._makes_masks else self._engine.collect(outputs)

    def finish(
        self, found: Sequence[Any], sizes: Sequence[tuple[int, int]], top_k: int | None = None
    ) -> list[Detections]:
        """See StagedEngine. Masks that the GPU makes are those of the last run."""
        if not self._makes_masks:
            return _on_cpu(found, sizes, top_k)
        return self._engine.choice(self._context).find(found, sizes, None if top_k is None else Selection(top_k=top_k))

    def close(self) -> None:
        """See StagedEngine."""
        self._context.close()
        self._clock.close()


def _on_cpu(
    found: Sequence[NetworkDetections], sizes: Sequence[tuple[int, int]], top_k: int | None
) -> list[Detections]:
    return [in_image(one if top_k is None else one[:top_k], size) for one, size in zip(found, sizes, strict=True)]


def in_steps(engine: OnnxEngine | OpenVinoEngine | TensorRTEngine) -> StagedEngine:
    """The steps of an engine that `open_engine` opened. Raises EngineError where a GPU's memory does not suffice."""
    if isinstance(engine, TensorRTEngine):
        return TensorRTSteps(engine)
    return OnnxSteps(engine)


class Timed(NamedTuple):
    """The detections of a run, and how long its stages took.

    Attributes:
        detections: of each image.
        milliseconds: of each stage that there was.
    """

    detections: list[Detections]
    milliseconds: dict[Stage, float]


class StagedDetector:
    """Turns the image files of a batch into detections and masks at image size, and times every stage of that."""

    def __init__(self, engine: StagedEngine, masks: MaskForm) -> None:
        """`masks`: form of each image's masks."""
        self._engine = engine
        self._make_masks = MAKE_MASKS[masks]

    def __call__(self, files: Sequence[EncodedImage]) -> Timed:
        """Run one batch. Raises ImageError where a file is no image."""
        clock = [time.perf_counter()]
        images = [file.decode() for file in files]
        clock.append(time.perf_counter())
        batch = self._engine.prepare(images)
        clock.append(time.perf_counter())
        outputs, copies = self._engine.run(batch)
        clock.append(time.perf_counter())
        found = self._engine.collect(outputs)
        detections = self.finish(found, [(image.shape[0], image.shape[1]) for image in images])
        clock.append(time.perf_counter())
        decode, preprocess, run, postprocess = (1000 * (b - a) for a, b in pairwise(clock))
        return Timed(
            detections,
            {"decode": decode, "preprocess": preprocess, **copies, "engine": run - sum(copies.values())}
            | {"postprocess": postprocess, "end_to_end": 1000 * (clock[-1] - clock[0])},
        )

    def find(self, image: Image, batch: int) -> Any:
        """The detections in an image, which runs in a batch of `batch`; `finish` takes them until the next run."""
        black = [np.zeros((1, 1, 3), np.uint8)] * (batch - 1)
        return self._engine.collect(self._engine.run(self._engine.prepare([image, *black]))[0])[0]

    def finish(
        self, found: Sequence[Any], sizes: Sequence[tuple[int, int]], top_k: int | None = None
    ) -> list[Detections]:
        """The end of post-processing: boxes in pixels, and masks at image size, which are made and dropped again."""
        detections = self._engine.finish(found, sizes, top_k)
        for one in detections:
            self._make_masks(one)
        return detections
