"""The steps of `Detector` from image files to masks, each of them timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from yolact.runtime.bench.copy_clock import CopyClock
from yolact.runtime.bench.photos import EncodedImage
from yolact.runtime.detections import Detections, in_image
from yolact.runtime.errors import UsageError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.preprocess import Preprocessor, fill_batch
from yolact.runtime.postprocess.postprocess import NetworkDetections
from yolact.runtime.tensorrt.engine import TensorRTEngine
from yolact.runtime.tensorrt.flavour import FLAVOURS

if TYPE_CHECKING:
    from yolact.runtime.onnx.engine import OnnxEngine

MaskForm = Literal["full", "rle"]

Stage = Literal["decode", "preprocess", "host_to_device", "engine", "device_to_host", "postprocess", "end_to_end"]

MAKE_MASKS: dict[MaskForm, Callable[[Detections], object]] = {
    "full": lambda found: found.masks,
    "rle": Detections.rle,
}


class StagedEngine(Protocol):
    """An engine file whose work is done in steps.

    Attributes:
        software: what runs it, with version.
    """

    software: str

    def check_batch(self, count: int) -> None:
        """Raise UsageError unless this many images can run at once."""

    def run(self, images: Image) -> tuple[Any, dict[Stage, float]]:
        """Outputs for a batch (N, S, S, 3), and the milliseconds of the copies to the device and back.

        An engine on the CPU, and one whose copies cannot be timed apart, has no entry for them.
        """

    def collect(self, outputs: Any) -> list[NetworkDetections]:
        """Detections of each image."""

    def close(self) -> None:
        """Free what was made for the steps; the engine stays open."""


class OnnxSteps:
    """An ONNX file in ONNX Runtime. On a GPU its session copies by itself, so the engine's time includes the copies."""

    def __init__(self, engine: OnnxEngine) -> None:
        from yolact.runtime.onnx.session import SOFTWARE

        self.software = SOFTWARE
        self._engine = engine
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

    def run(self, images: Image) -> tuple[Any, dict[Stage, float]]:
        """See StagedEngine."""
        return self._engine.run(images), {}

    def close(self) -> None:
        """There is nothing to free."""


class TensorRTSteps:
    """A TensorRT plan, in a context of its own."""

    def __init__(self, engine: TensorRTEngine) -> None:
        module = engine.plan.trt
        title = next(flavour.title for flavour in FLAVOURS if flavour.module == module.__name__)
        self.software = f"{title} {module.__version__}"
        self._clock = CopyClock(engine.device)
        self._context = engine.create_context(self._clock)
        self.check_batch = engine.plan.check_batch
        self.collect = engine.collect

    def run(self, images: Image) -> tuple[Any, dict[Stage, float]]:
        """See StagedEngine."""
        outputs = self._context.run(images)
        return outputs, {
            "host_to_device": self._clock.host_to_device_ms,
            "device_to_host": self._clock.device_to_host_ms,
        }

    def close(self) -> None:
        """See StagedEngine."""
        self._context.close()
        self._clock.close()


def in_steps(engine: OnnxEngine | TensorRTEngine) -> StagedEngine:
    """The steps of an engine that `open_engine` opened. Raises EngineError where a GPU's memory does not suffice."""
    if isinstance(engine, TensorRTEngine):
        return TensorRTSteps(engine)
    return OnnxSteps(engine)


class Timed(NamedTuple):
    """What a run found, and how long its stages took.

    Attributes:
        detections: what was found in each image.
        milliseconds: of each stage that there was.
    """

    detections: list[Detections]
    milliseconds: dict[Stage, float]


class StagedDetector:
    """Turns the image files of a batch into detections and masks at image size, and times every stage of that."""

    def __init__(self, engine: StagedEngine, image_size: int, masks: MaskForm) -> None:
        """`image_size`: side of the network's input, pixels. `masks`: what is made of each image's masks."""
        self._engine = engine
        self._preprocess = Preprocessor(image_size)
        self._make_masks = MAKE_MASKS[masks]

    def __call__(self, files: Sequence[EncodedImage]) -> Timed:
        """Run one batch. Raises ImageError where a file is no image."""
        clock = [time.perf_counter()]
        images = [file.decode() for file in files]
        clock.append(time.perf_counter())
        batch = self._preprocess(images)
        clock.append(time.perf_counter())
        outputs, copies = self._engine.run(batch)
        clock.append(time.perf_counter())
        found = self._engine.collect(outputs)
        detections = [self.finish(one, image.shape[:2]) for one, image in zip(found, images, strict=True)]
        clock.append(time.perf_counter())
        decode, preprocess, run, postprocess = (1000 * (b - a) for a, b in pairwise(clock))
        return Timed(
            detections,
            {"decode": decode, "preprocess": preprocess, **copies, "engine": run - sum(copies.values())}
            | {"postprocess": postprocess, "end_to_end": 1000 * (clock[-1] - clock[0])},
        )

    def find(self, image: Image, batch: int) -> NetworkDetections:
        """What the network finds in an image, which runs in a batch of `batch`."""
        return self._engine.collect(self._engine.run(fill_batch(self._preprocess([image]), batch))[0])[0]

    def finish(self, found: NetworkDetections, image_size: tuple[int, int]) -> Detections:
        """The end of post-processing: boxes in pixels, and masks at image size, which are made and dropped again."""
        detections = in_image(found, image_size)
        self._make_masks(detections)
        return detections
