"""A deserialised TensorRT plan whose tensors were checked, and its execution contexts, whose every call is checked."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from yolact.runtime.contract import INPUT_NAME, TensorSpec, contradiction, input_spec, output_specs
from yolact.runtime.cuda.arrays import DeviceArray
from yolact.runtime.cuda.device import Device, DeviceMemory, Stream
from yolact.runtime.errors import EngineError, UsageError
from yolact.runtime.metadata import ModelMetadata

_TYPE_NAMES = {"float32": "FLOAT", "int32": "INT32", "uint8": "UINT8"}
"""NumPy's names of the contract's data types to those of TensorRT's DataType."""


@dataclass(frozen=True, eq=False)
class LoadedPlan:
    """A deserialised plan whose tensors are as the contract says.

    Attributes:
        held: TensorRT's ICudaEngine, in a list that is emptied in the right CUDA context when nobody uses the plan.
        trt: the module it comes from, `tensorrt` or `tensorrt_rtx`.
        images: the input's type and shape without batch.
        outputs: the outputs' by name, in the order of the contract.
        min_batch: fewest images per call.
        max_batch: most images per call.
        reason: gives the message of TensorRT's logger about the last failure.
        creating: lock, held while an execution context is made. Threads that begin at once all make one, and TensorRT
            does not document that this call is safe for several threads at a time.
    """

    held: list[Any]
    trt: Any
    images: TensorSpec
    outputs: dict[str, TensorSpec]
    min_batch: int
    max_batch: int
    reason: Callable[[], str]
    creating: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def check(
        cls, engine: Any, trt: Any, metadata: ModelMetadata, device: Device, reason: Callable[[], str]
    ) -> LoadedPlan:
        """Compare every tensor with the contract. Raises EngineError at the first that differs."""
        outputs = output_specs(metadata.graph, metadata.config, metadata.postprocess)
        images = input_spec(metadata.config)
        found = {name: _Tensor.of(engine, name) for name in map(engine.get_tensor_name, range(engine.num_io_tensors))}
        batch = found[INPUT_NAME].shape[0] if INPUT_NAME in found and found[INPUT_NAME].shape else -1
        for name, spec in {INPUT_NAME: images, **outputs}.items():
            mode = "INPUT" if name == INPUT_NAME else "OUTPUT"
            expected = _Tensor(mode, _TYPE_NAMES[spec.dtype.name], (batch, *spec.shape))
            if found.get(name) != expected:
                shape = found[name].shape[1:] if name in found else ()
                why = contradiction(name, shape, metadata.config, metadata.postprocess)
                got = found.get(name, "no such tensor")
                raise EngineError(f"{why}expected the plan's tensor {name!r} to be {expected}, got {got}; {_AGAIN}")
        unknown = found.keys() - outputs.keys() - {INPUT_NAME}
        if unknown:
            raise EngineError(f"the plan has tensors that no YOLACT has: {', '.join(sorted(unknown))}; {_AGAIN}")
        if batch == -1:
            least, _, most = (shape[0] for shape in engine.get_tensor_profile_shape(INPUT_NAME, 0))
        else:
            least = most = batch
        plan = cls([engine], trt, images, outputs, int(least), int(most), reason)
        weakref.finalize(plan, _free, device, plan.held)
        return plan

    @property
    def engine(self) -> Any:
        """TensorRT's ICudaEngine."""
        return self.held[0]

    def check_batch(self, count: int) -> None:
        """Raise UsageError unless this many images can run at once."""
        if not self.min_batch <= count <= self.max_batch:
            takes = f"{self.min_batch} to {self.max_batch}" if self.min_batch < self.max_batch else f"{self.max_batch}"
            option = f"--max-batch {count}" if count > self.max_batch else f"--min-batch {max(count, 1)}"
            raise UsageError(
                f"this plan takes {takes} images a call, got {count}; pass as many, "
                f"or build it again with yolact-build {option}"
            )

    @property
    def records_graphs(self) -> bool:
        """Whether this TensorRT makes CUDA graphs by itself when asked to.

        TensorRT for RTX does. It replaces kernels of dynamic shapes while it runs, so recordings made from outside
        would go stale (docs.nvidia.com/deeplearning/tensorrt-rtx, Working with RTX CUDA Graphs).
        """
        return hasattr(self.trt, "CudaGraphStrategy")


def _free(device: Device, held: list[Any]) -> None:
    with suppress(EngineError), device.current():
        held.clear()


_AGAIN = "build it again from a file of yolact-export"


@dataclass(frozen=True)
class _Tensor:
    mode: str
    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, engine: Any, name: str) -> _Tensor:
        shape = tuple(int(size) for size in engine.get_tensor_shape(name))
        return cls(engine.get_tensor_mode(name).name, engine.get_tensor_dtype(name).name, shape)

    def __str__(self) -> str:
        sizes = ("N" if size == -1 else str(size) for size in self.shape)
        return f"an {self.mode.lower()} of type {self.dtype} and shape ({', '.join(sizes)})"


class Execution:
    """TensorRT's IExecutionContext, with errors where it refuses something."""

    def __init__(self, plan: LoadedPlan, activations: DeviceMemory, native_graphs: bool) -> None:
        """Make a new execution context.

        Args:
            plan: the plan that it runs.
            activations: scratch memory, at least as much as the plan needs; contexts that never run at the same time
                may share it.
            native_graphs: let TensorRT record CUDA graphs where it can do so by itself.

        Raises:
            EngineError: TensorRT could not make it.
        """
        strategy = plan.trt.ExecutionContextAllocationStrategy.USER_MANAGED
        settings = strategy
        if native_graphs and plan.records_graphs:
            settings = plan.engine.create_runtime_config()
            settings.set_execution_context_allocation_strategy(strategy)
            settings.cuda_graph_strategy = plan.trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        with plan.creating:
            self._context: Any = plan.engine.create_execution_context(settings)
        if self._context is None:
            raise EngineError(f"TensorRT could not make an execution context: {plan.reason()}")
        self._reason = plan.reason
        # Plans have detailed names of layers for inspection; to pass them to profilers makes every run slower.
        self._context.nvtx_verbosity = plan.trt.ProfilingVerbosity.NONE
        self._context.set_device_memory(activations.address, activations.size)

    def bind(self, arrays: Mapping[str, DeviceArray]) -> None:
        """Run on these arrays, one for each tensor, from now on. Raises EngineError where TensorRT refuses one."""
        shape = arrays[INPUT_NAME].shape
        if not self._context.set_input_shape(INPUT_NAME, shape):
            raise EngineError(f"TensorRT refused images of shape {shape}: {self._reason()}")
        for name, array in arrays.items():
            if not self._context.set_tensor_address(name, array.address):
                raise EngineError(f"TensorRT refused the address of {name!r}: {self._reason()}")

    def enqueue(self, stream: Stream) -> None:
        """Put one run on a stream. Raises EngineError where TensorRT refuses."""
        if not self._context.execute_async_v3(stream.handle):
            raise EngineError(f"TensorRT could not run the plan: {self._reason()}")

    def close(self) -> None:
        """Free the execution context, with its CUDA context current. None of its runs may be unfinished."""
        self._context = None
