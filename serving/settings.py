"""The settings of a model repository."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from yolact.runtime.config import DISPLAY_SCORE_THRESHOLD, DISPLAY_TOP_K
from yolact.runtime.errors import UsageError
from yolact.runtime.fields import shown, whole
from yolact.runtime.triton.address import MODEL_NAME
from yolact.runtime.triton.wire import MaskCoding
from yolact.serving.engine_facts import EngineFacts

Backend = Literal["python", "onnxruntime", "tensorrt"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)

MAX_BATCH = 8
"""Most images in a batch where neither the user nor the engine file says otherwise."""

QUEUE = 256
"""Requests that may wait. Further ones are refused (HTTP's 503), as clients do not wait for minutes."""

MOST_BATCH, MOST_INSTANCES, MOST_GPUS, MOST_QUEUE = 1024, 64, 64, 1_000_000


@dataclass(frozen=True)
class Settings:
    """The settings of `yolact-triton`.

    Attributes:
        name: of the model, and of its folder.
        masks: how masks are sent to clients.
        backend: runs the network: our own runtime in Triton's python backend, or one of Triton's own.
        max_batch: most images in a batch; None for the limit of the engine.
        instances: copies of the model; on GPUs, copies on each GPU.
        gpus: indices of the GPUs it runs on; empty for the CPU, or for Triton's choice where the engine is a plan.
        score_threshold, top_k: used for requests that give none.
        queue: most requests that may wait.

    Raises UsageError for an impossible value.
    """

    name: str = "yolact"
    masks: MaskCoding = "rle"
    backend: Backend = "python"
    max_batch: int | None = None
    instances: int = 1
    gpus: tuple[int, ...] = ()
    score_threshold: float = DISPLAY_SCORE_THRESHOLD
    top_k: int = DISPLAY_TOP_K
    queue: int = QUEUE

    def __post_init__(self) -> None:
        if not MODEL_NAME.fullmatch(self.name):
            raise UsageError(
                f"--name: expected letters, digits, dots, dashes and underlines, 100 at most, got {shown(self.name)}"
            )
        whole("--instances", self.instances, 1, MOST_INSTANCES)
        whole("--queue", self.queue, 1, MOST_QUEUE)
        for gpu in self.gpus:
            whole("--gpus", gpu, 0, MOST_GPUS)

    @property
    def engine_model(self) -> str:
        """The model that runs the network where Triton does so itself, else empty."""
        return "" if self.backend == "python" else f"{self.name}_engine"

    def batch_of(self, engine: EngineFacts) -> int:
        """Most images in a batch on this engine. Raises UsageError where it takes fewer than were asked for."""
        if self.max_batch is None:
            return engine.max_batch or MAX_BATCH
        whole("--max-batch", self.max_batch, 1, MOST_BATCH)
        if engine.max_batch is not None and self.max_batch > engine.max_batch:
            raise UsageError(
                f"--max-batch {self.max_batch}: {engine.path} takes at most {engine.max_batch} images; export or build "
                "it for more"
            )
        return self.max_batch

    def check(self, engine: EngineFacts) -> None:
        """Raise UsageError where the backend is not for this engine."""
        if self.backend == "tensorrt" and not engine.is_plan:
            raise UsageError(f"--backend tensorrt runs plans, and {engine.path} is an ONNX file; build a plan of it")
        if self.backend == "onnxruntime" and engine.is_plan:
            raise UsageError(f"--backend onnxruntime runs ONNX files, and {engine.path} is a TensorRT plan")
        if self.backend == "python" and engine.carries_code:
            raise UsageError(
                f"--backend python runs no code from a plan, but {engine.path} contains some, as it is version "
                "compatible or has plugins inside; build it without these"
            )
        if self.backend == "tensorrt" and engine.flavour != "tensorrt":
            raise UsageError(
                f"--backend tensorrt runs plans of TensorRT, and {engine.path} was built by TensorRT for RTX, which "
                "Triton's backend does not open; take --backend python, or build it by TensorRT"
            )
