"""Runtimes for an exported file on a CPU, all behind one call: images (1, S, S, 3) uint8 in, the file's outputs out.

Each imports its runtime only when it is opened, so no process carries the runtime of another.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.config import ModelConfig
from yolact.runtime.contract import output_specs
from yolact.runtime.detector import Detector
from yolact.runtime.engine import Engine
from yolact.runtime.images.arrays import Image
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.openvino.library import core
from yolact.runtime.postprocess.postprocess import ImageHeads, NetworkDetections, postprocess

Run = Callable[[Image], list[NDArray[Any]]]
"""Outputs in the contract's order for one image."""


class ForeignEngine:
    """An engine around another project's runtime, for our detector: contenders share all steps around the network."""

    min_batch, max_batch, device, streams = 1, 1, "cpu", 1

    def __init__(self, run: Run, metadata: ModelMetadata) -> None:
        self.run = run
        self.metadata = metadata

    def detect(self, images: Image) -> list[NetworkDetections]:
        """The detections of a batch of one image, as `OnnxEngine.detect` returns them."""
        outputs = [array[0] for array in self.run(images)]
        if self.metadata.graph == "raw":
            return [postprocess(ImageHeads(*outputs), self.metadata.config, self.metadata.postprocess)]
        count, *arrays = outputs
        return [NetworkDetections(*(array[: count.item()] for array in arrays))]

    def close(self) -> None:
        """Do nothing: the runtime goes when its process ends."""


class TimedEngine:
    """An engine that remembers how many milliseconds its last batch took."""

    def __init__(self, engine: Engine) -> None:
        self.metadata, self.min_batch, self.max_batch = engine.metadata, engine.min_batch, engine.max_batch
        self.device, self.streams = engine.device, engine.streams
        self._engine = engine
        self.ms = 0.0

    def detect(self, images: Image) -> list[NetworkDetections]:
        """The detections of a batch by the engine inside."""
        start = time.perf_counter()
        found = self._engine.detect(images)
        self.ms = (time.perf_counter() - start) * 1e3
        return found

    def close(self) -> None:
        """Close the engine inside."""
        self._engine.close()


class TimedDetector(Detector):
    """A detector that knows the engine's share of its last call."""

    def __init__(self, engine: Engine) -> None:
        self._timed = TimedEngine(engine)
        super().__init__(self._timed)

    @property
    def engine_ms(self) -> float:
        """Milliseconds that the engine took in the last call."""
        return self._timed.ms


def openvino_run(path: Path, metadata: ModelMetadata, threads: int, precision: str | None) -> Run:
    """An exported file run by OpenVINO in a precision (`f32`), or for None in OpenVINO's own choice."""
    model = core().read_model(path)
    size = metadata.config.image_size
    model.reshape({"images": [1, size, size, 3]})
    settings: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    if precision is not None:
        settings["INFERENCE_PRECISION_HINT"] = precision
    compiled = core().compile_model(model, "CPU", settings)
    outputs = list(output_specs(metadata.graph, metadata.config, metadata.postprocess))

    def run(images: Image) -> list[NDArray[Any]]:
        found = compiled({"images": images})
        return [found[name] for name in outputs]

    return run


def ncnn_run(param: Path, threads: int) -> Run:
    """The raw graph that pnnx has converted, run by ncnn in float32."""
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, option, False)
    failed = net.load_param(str(param)) or net.load_model(str(param.with_suffix(".bin")))
    if failed:
        raise RuntimeError("ncnn does not load what pnnx made of the raw graph")

    def run(images: Image) -> list[NDArray[Any]]:
        extractor = net.create_extractor()
        pixels = images.astype(np.float32)  # a Mat does not keep the array that it was made of alive
        extractor.input("in0", ncnn.Mat(pixels, batch_index=0).clone())
        found = [extractor.extract(f"out{index}") for index in range(4)]
        if any(code for code, _ in found):
            raise RuntimeError("ncnn cannot run what pnnx made of the raw graph")
        return [mat.numpy(batch_index=0).copy() for _, mat in found]

    return run


def torch_network(weights: Path, config: ModelConfig, threads: int) -> Any:
    """The network with the weights of a state dict, in evaluation mode."""
    import torch

    from yolact.training.models.model import Yolact

    torch.set_num_threads(threads)
    model = Yolact(config)
    model.load_state_dict(torch.load(weights, weights_only=True))
    return model.eval()


def torch_run(model: Any, *, compiled: bool) -> Run:
    """The network up to its heads, run by PyTorch."""
    import torch

    def heads(pixels: torch.Tensor) -> list[torch.Tensor]:
        return list(model(model.normalize(pixels)))[:4]

    steps = torch.compile(heads) if compiled else heads

    def run(images: Image) -> list[NDArray[Any]]:
        with torch.inference_mode():
            return [tensor.numpy() for tensor in steps(torch.from_numpy(images))]

    return run
