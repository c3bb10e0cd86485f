"""A stand-in for TensorRT's ICudaEngine and IExecutionContext that runs an ONNX file with ONNX Runtime.

`execute_async_v3` puts two host functions on the stream it is given: one reads the images behind the bound address and
runs the network, the other writes the outputs to the bound addresses. So a real network gives real detections through
the real runtime and cuda-bindings. This module takes the place of the module `tensorrt`.

It is as strict as TensorRT's documentation: False where a shape or address is missing, misaligned or outside the
profile, no capture before a first plain run of a shape, and a list of `problems`: contexts made by two threads at the
same time, graphs replayed after their context was changed, activation memory that something else wrote to between the
two functions, contexts freed while another CUDA context is current.

What passes here shows that addresses, sizes, order, lifetime and synchronisation of the runtime are right by these
rules. It does not show that TensorRT or a GPU keep to them.
"""

from __future__ import annotations

import ctypes
import enum
import itertools
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from host_cuda.host_driver import HOST_FUNCTION, LIBRARY, as_array, call, current_context
from plan_files import plan_bytes

from yolact.runtime.contract import INPUT_NAME, TensorSpec, input_spec, output_specs
from yolact.runtime.onnx.engine import OnnxEngine
from yolact.runtime.tensorrt.plan_file import to_network_name

DataType = enum.Enum("DataType", "FLOAT HALF INT32 UINT8")
TensorIOMode = enum.Enum("TensorIOMode", "INPUT OUTPUT")
ExecutionContextAllocationStrategy = enum.Enum("ExecutionContextAllocationStrategy", "STATIC USER_MANAGED")
CudaGraphStrategy = enum.Enum("CudaGraphStrategy", "DISABLED WHOLE_GRAPH_CAPTURE")
ProfilingVerbosity = enum.Enum("ProfilingVerbosity", "LAYER_NAMES_ONLY NONE DETAILED")


class ILogger:
    INTERNAL_ERROR, ERROR = range(2)


class Runtime:
    """Opens what `write_plan` wrote."""

    def __init__(self, logger: ILogger) -> None:
        pass

    def deserialize_cuda_engine(self, plan: bytes) -> HostEngine:
        return HostEngine(Path(plan.partition(_NAMES)[2].decode()))


_NAMES = b"stands for "


def write_plan(path: Path, onnx: Path) -> Path:
    """A file that begins as a plan does and stands for an exported file."""
    path.write_bytes(plan_bytes(b"ftrt", (10, 7, 0, 0)) + _NAMES + bytes(onnx))
    return path


TENSORRT = SimpleNamespace(
    __name__="tensorrt",
    __version__="10.7.0",
    ILogger=ILogger,
    Runtime=Runtime,
    get_plugin_registry=lambda: None,
    ExecutionContextAllocationStrategy=ExecutionContextAllocationStrategy,
    ProfilingVerbosity=ProfilingVerbosity,
)
TENSORRT_RTX = SimpleNamespace(**vars(TENSORRT) | {"__name__": "tensorrt_rtx"}, CudaGraphStrategy=CudaGraphStrategy)

_TYPES = {"float32": DataType.FLOAT, "int32": DataType.INT32, "uint8": DataType.UINT8}
_TOKENS = itertools.count(1)


class HostEngine:
    """An ICudaEngine over an exported file.

    Attributes:
        tensors: mode, type and shape of each tensor by name; tests may change them.
        problems: what went wrong where TensorRT's behaviour would be undefined.
        contexts: the execution contexts that are alive.
        before_run: called before each run of the network, in the thread that waits for the stream.
        creation_takes: seconds, of an execution context.
    """

    def __init__(self, path: Path, min_batch: int = 1, max_batch: int = 4, *, capturable: bool = True) -> None:
        self.onnx = OnnxEngine(path)
        self.name = to_network_name(self.onnx.metadata)
        self.capturable = capturable
        metadata = self.onnx.metadata
        outputs = output_specs(metadata.graph, metadata.config, metadata.postprocess)
        batch = min_batch if min_batch == max_batch else -1
        self.limits = (min_batch, max_batch)
        self.tensors = {INPUT_NAME: _described(TensorIOMode.INPUT, batch, input_spec(metadata.config))}
        self.tensors |= {name: _described(TensorIOMode.OUTPUT, batch, spec) for name, spec in outputs.items()}
        self.specs = {INPUT_NAME: input_spec(metadata.config), **outputs}
        self.device_memory_size_v2 = 1000
        self.problems: list[str] = []
        self.contexts: weakref.WeakSet[HostContext] = weakref.WeakSet()
        self.before_run: Callable[[], object] = lambda: None
        self.creating, self.creation_takes = threading.Lock(), 0.0
        self.callbacks: list[Any] = []

    def reason(self) -> str:
        """What a logger of TensorRT would have to say."""
        return "so says the logger"

    @property
    def num_io_tensors(self) -> int:
        return len(self.tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_mode(self, name: str) -> Any:
        return self.tensors[name][0]

    def get_tensor_dtype(self, name: str) -> Any:
        return self.tensors[name][1]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.tensors[name][2]

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
        assert (name, profile) == (INPUT_NAME, 0)
        least, most = self.limits
        return [(batch, *self.specs[name].shape) for batch in (least, least, most)]

    def create_runtime_config(self) -> HostRuntimeConfig:
        return HostRuntimeConfig()

    def create_execution_context(self, settings: Any) -> HostContext:
        strategy = settings.strategy if isinstance(settings, HostRuntimeConfig) else settings
        assert strategy is ExecutionContextAllocationStrategy.USER_MANAGED
        alone = self.creating.acquire(blocking=False)
        if not alone:
            self.problems.append("two threads made execution contexts at the same time")
        time.sleep(self.creation_takes)
        if alone:
            self.creating.release()
        context = HostContext(self, settings)
        self.contexts.add(context)
        return context


class HostRuntimeConfig:
    cuda_graph_strategy = CudaGraphStrategy.DISABLED

    def set_execution_context_allocation_strategy(self, strategy: Any) -> None:
        self.strategy = strategy


class HostContext:
    """An IExecutionContext, of an engine that was built with detailed profiling."""

    nvtx_verbosity = ProfilingVerbosity.DETAILED

    def __init__(self, engine: HostEngine, settings: Any) -> None:
        self.engine, self.settings = engine, settings
        self.shape: tuple[int, ...] | None = None
        self.addresses: dict[str, int] = {}
        self.memory: int | None = None
        self.changes = 0
        self.settled = False
        self.cuda_context = current_context()
        assert self.cuda_context, "TensorRT would make a context of its own"

    def __del__(self) -> None:
        if current_context() != self.cuda_context:
            self.engine.problems.append("an execution context was freed while another CUDA context was current")

    def set_device_memory(self, memory: int, size: int) -> None:
        assert memory % 256 == 0 and size >= self.engine.device_memory_size_v2
        self.memory = memory
        self.changes += 1

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        least, most = self.engine.limits
        if name != INPUT_NAME or not least <= shape[0] <= most or shape[1:] != self.engine.specs[name].shape:
            return False
        self.settled = self.settled and shape == self.shape
        self.shape = shape
        self.changes += 1
        return True

    def set_tensor_address(self, name: str, memory: int) -> bool:
        if name not in self.engine.tensors or memory % 256:
            return False
        self.addresses[name] = memory
        self.changes += 1
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert current_context() == self.cuda_context
        if self.shape is None or self.memory is None or self.addresses.keys() != self.engine.tensors.keys():
            return False
        stream, status = ctypes.c_void_p(stream_handle), ctypes.c_int()
        call("cuStreamIsCapturing", stream, ctypes.byref(status))
        if status.value and not (self.settled and self.engine.capturable):
            LIBRARY.cuStreamSynchronize(stream)  # what spoils a capture in reality: something waits, or allocates
            return False
        run = _Run(self, captured=bool(status.value))
        for function in (run.start, run.finish):
            callback = HOST_FUNCTION(run.guarded(function))
            self.engine.callbacks.append(callback)
            call("cuLaunchHostFunc", stream, callback, None)
        self.settled = True
        return True


class _Run:
    """One enqueued run, with the shape and addresses of the moment it was enqueued, as a graph keeps them."""

    def __init__(self, context: HostContext, captured: bool) -> None:
        assert context.shape is not None and context.memory is not None
        self.engine, self.changes = context.engine, context.changes
        # A context that is gone is not changed any more, only a living one can be.
        self.context, self.captured = weakref.ref(context), captured
        self.shape, self.addresses, self.memory = context.shape, dict(context.addresses), context.memory

    def guarded(self, function: Callable[[], None]) -> Callable[[object], None]:
        def run(_: object) -> None:
            try:
                function()
            except BaseException as error:  # ctypes would print it and go on
                self.engine.problems.append(repr(error))

        return run

    def start(self) -> None:
        context = self.context()
        if self.captured and (context is None or context.changes != self.changes):
            self.engine.problems.append("a graph was replayed after its execution context was changed")
        images = as_array(self.addresses[INPUT_NAME], self.shape, np.uint8)
        self.engine.before_run()
        self.outputs = self.engine.onnx.run(images)
        self.token = next(_TOKENS).to_bytes(8, "little")
        ctypes.memmove(self.memory, self.token, len(self.token))

    def finish(self) -> None:
        if ctypes.string_at(self.memory, len(self.token)) != self.token:
            self.engine.problems.append("two runs used the same activation memory at the same time")
        names = [name for name in self.engine.specs if name != INPUT_NAME]
        for name, array in zip(names, self.outputs, strict=True):
            assert array.dtype == self.engine.specs[name].dtype
            ctypes.memmove(self.addresses[name], np.ascontiguousarray(array).ctypes.data, array.nbytes)


def _described(mode: Any, batch: int, spec: TensorSpec) -> tuple[Any, Any, tuple[int, ...]]:
    return mode, _TYPES[spec.dtype.name], (batch, *spec.shape)
