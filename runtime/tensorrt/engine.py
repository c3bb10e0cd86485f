"""A TensorRT plan as an engine for `Detector`: as many contexts as there are threads that use it at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.config import PostprocessConfig
from yolact.runtime.cuda.device import Device
from yolact.runtime.cuda.device_detections import DeviceDetections
from yolact.runtime.cuda.kernels import KernelLibrary
from yolact.runtime.detections import Detections, in_image
from yolact.runtime.errors import EngineError, UsageError
from yolact.runtime.images.arrays import Image
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.postprocess.output_check import OutputCheck
from yolact.runtime.postprocess.postprocess import ImageHeads, NetworkDetections
from yolact.runtime.selection import Selection
from yolact.runtime.tensorrt.context import COUNT, TensorRTContext
from yolact.runtime.tensorrt.loaded_plan import LoadedPlan
from yolact.runtime.tensorrt.mask_choice import MaskChoice
from yolact.runtime.tensorrt.run_observer import RunObserver


class TensorRTEngine:
    """A deserialised plan that any number of threads may use.

    Attributes:
        min_batch: fewest images per call.
        max_batch: most images per call.
        device: the GPU it is on.
        takes_images: whether `find` can be used, which the project's kernels are needed for.
        streams: calls that are worth making at once: one is read and uploaded while another is in the network.
    """

    streams = 2

    def __init__(
        self,
        engine: Any,
        trt: Any,
        metadata: ModelMetadata,
        device: Device,
        reason: Callable[[], str],
        kernels: KernelLibrary | None = None,
    ) -> None:
        """Check the plan; `engine_files.open_engine` opens a file.

        Args:
            engine: TensorRT's ICudaEngine, deserialised on `device`.
            trt: the module it comes from, `tensorrt` or `tensorrt_rtx`.
            metadata: of the model.
            device: kept open until nothing that was made from the engine is left.
            reason: gives the message of TensorRT's logger about the last failure, see `log.make_logger`.
            kernels: those that stretch images and masks on the GPU; None to work without.

        Raises:
            EngineError: a tensor of the plan is not as the contract says.
        """
        self._plan: LoadedPlan | None = LoadedPlan.check(engine, trt, metadata, device, reason)
        self._metadata = metadata
        self._check = OutputCheck(metadata.config)
        self.min_batch: int = self._plan.min_batch
        self.max_batch: int | None = self._plan.max_batch
        self.device = device
        self._kernels = kernels
        self.takes_images = kernels is not None
        self._lock = threading.Lock()
        self._idle: list[TensorRTContext] = []

    @property
    def metadata(self) -> ModelMetadata:
        """The model and its post-processing."""
        return self._metadata

    def set_postprocess(self, settings: PostprocessConfig) -> None:
        """Post-process by these settings from now on. Raises UsageError where a full graph has its own built in."""
        self._metadata = self._metadata.with_postprocess(settings)

    def detect(self, images: Image) -> list[NetworkDetections]:
        """Detections of each image of a batch (N, S, S, 3) uint8 BGR. Several threads may call this at once.

        Raises:
            UsageError: the array is not as described, or the plan takes no such batch.
            EngineError: the run failed, or the engine was closed.
        """
        with self._borrowed() as context:
            outputs = context.run(images)
        return self.collect(outputs)

    def find(self, images: Sequence[Image], wanted: Selection | None = None) -> list[Detections]:
        """Detections of each image (H, W, 3) uint8 BGR, of any sizes, that are wanted; all as the network ranks them by
        default. Images and masks are stretched on the GPU. Several threads may call this at once.

        Raises:
            UsageError: the plan takes no such batch.
            EngineError: the run failed, or the engine was closed.
        """
        names, sizes = self.metadata.config.class_names, [(image.shape[0], image.shape[1]) for image in images]
        with self._borrowed() as context:
            outputs = self._run(context, images)
            if self.metadata.graph == "full":
                return self.choice(context).find(outputs, sizes, wanted)
        found = [in_image(one, size, names) for one, size in zip(self.collect(outputs), sizes, strict=True)]
        return found if wanted is None else [one.select_by(wanted) for one in found]

    def find_on_device(self, images: Sequence[Image], wanted: Selection | None = None) -> list[DeviceDetections]:
        """As `find`, with results that stay on the GPU. Raises UsageError where this plan or machine cannot do so."""
        if self.metadata.graph != "full" or not self.takes_images:
            raise UsageError(
                "results stay on the GPU with a plan of a full graph and the project's kernels: export it without "
                "--graph raw, and run yolact-build-plugins"
            )
        sizes = [(image.shape[0], image.shape[1]) for image in images]
        with self._borrowed() as context:
            outputs = self._run(context, images)
            return self.choice(context).keep(outputs, sizes, wanted)

    def choice(self, context: TensorRTContext) -> MaskChoice:
        """Makes detections from the outputs of `run_images` of this engine's context, of a full graph."""
        return MaskChoice(context, self._check, self.metadata.config.class_names)

    def _run(self, context: TensorRTContext, images: Sequence[Image]) -> list[dict[str, NDArray[Any]]]:
        """The outputs of these images, which are run with black ones where the plan takes no batch as small."""
        black = [np.zeros((1, 1, 3), np.uint8)] * (self.min_batch - len(images))
        return context.run_images([*images, *black])[: len(images)]

    def collect(self, outputs: list[dict[str, NDArray[Any]]]) -> list[NetworkDetections]:
        """Detections of each image from the outputs of `TensorRTContext.run`; heads of a raw graph are post-processed
        here. Impossible detections are left out, see `OutputCheck`."""
        if self.metadata.graph == "raw":
            return [self._check.of_heads(ImageHeads(**arrays), self.metadata.postprocess)[0] for arrays in outputs]
        images = [[array for name, array in arrays.items() if name != COUNT] for arrays in outputs]
        return [self._check.of_outputs(len(arrays[0]), arrays)[0] for arrays in images]

    def create_context(self, observer: RunObserver | None = None) -> TensorRTContext:
        """A context for arrays and streams on the GPU, which the caller closes. Each thread needs one of its own.

        `observer`, if there is one, follows the runs from memory of the host.
        Raises EngineError where memory does not suffice, or the engine was closed.
        """
        return TensorRTContext(self.plan, self.device, self._kernels, observer)

    @property
    def plan(self) -> LoadedPlan:
        """The plan that this engine runs. Raises EngineError where the engine was closed."""
        plan = self._plan
        if plan is None:
            raise EngineError("this engine was closed; open it again")
        return plan

    @contextmanager
    def _borrowed(self) -> Iterator[TensorRTContext]:
        """Lend a context, which no other thread gets meanwhile."""
        with self._lock:
            context = self._idle.pop() if self._idle else None
        if context is None:
            context = self.create_context()
        try:
            yield context
        finally:
            with self._lock:
                closed = self._plan is None
                if not closed:
                    self._idle.append(context)
            if closed:
                context.close()

    def close(self) -> None:
        """Free the plan and all idle contexts. Calling it again does nothing.

        A context that a thread is using is freed after that; those of `create_context` are closed by their callers.
        """
        with self._lock:
            self._plan = None
            idle, self._idle = self._idle, []
        for context in idle:
            context.close()
        self._check.close()
