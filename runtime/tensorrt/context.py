"""Runs a TensorRT plan for one thread: a stream, buffers, and the execution contexts that share them.

NVIDIA's documentation (Best Practices, CUDA Graphs) leaves undefined what a graph does after the context it was
recorded from was changed, and advises one context per graph with shared activation memory. So there is one context for
callers' arrays, whose shapes and addresses change, and one for each batch size from the host, whose never do.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.contract import INPUT_NAME
from yolact.runtime.cuda.arrays import DeviceArray, as_device_array, as_stream
from yolact.runtime.cuda.device import Device, DeviceMemory, Event, Graph, PinnedMemory, Stream
from yolact.runtime.errors import EngineError, UsageError
from yolact.runtime.images.arrays import Image
from yolact.runtime.tensorrt.loaded_plan import Execution, LoadedPlan

COUNT, MASKS = "num_detections", "masks"

MOST_PREPARED = 8
"""Batch sizes from the host whose contexts and graphs are kept: each takes memory of the GPU."""

HostMoment = Literal["begun", "staged", "finished", "collected"]
"""The moments of a run: it begins, its batch is in pinned memory, the GPU is done, its results are in new arrays."""

StreamMoment = Literal["upload", "uploaded", "download", "downloaded"]
"""Where the copy to the GPU and the one back begin and end on the stream. The network runs between the two."""


class RunObserver(Protocol):
    """Follows the runs of a context from memory of the host, to time them."""

    def on_host(self, moment: HostMoment) -> None:
        """The host has come to this moment of a run."""

    def on_stream(self, moment: StreamMoment, stream: Stream) -> None:
        """Work put on the stream now, such as an event, comes at this moment.

        Where the run is recorded as a CUDA graph, so is that work: it is repeated at every launch, without this call.
        """


class _NoObserver:
    def on_host(self, moment: HostMoment) -> None:
        pass

    def on_stream(self, moment: StreamMoment, stream: Stream) -> None:
        pass


@dataclass
class _Prepared:
    """An execution context for one batch size, whose shapes and addresses stay as they are.

    Attributes:
        execution: the context.
        recordable: its work may become a CUDA graph.
        ran: it has run once, so its work can be recorded.
        graph: its recorded work, None before it is recorded.
    """

    execution: Execution
    recordable: bool
    ran: bool = False
    graph: Graph | None = None

    def close(self) -> None:
        """Free it, with its CUDA context current. None of its runs may be unfinished."""
        if self.graph is not None:
            self.graph.close()
        self.execution.close()


@dataclass
class _Held:
    """The resources of a TensorRTContext.

    They are an object of their own because the finalizer that frees them must not refer to the context: the garbage
    collector would never find that unused.
    """

    device: Device
    stream: Stream
    done: Event  # comes when this context's last work on a caller's stream is done
    ready: Event  # comes when the work is done that a caller's array is still waiting for
    plain: list[Execution] = field(default_factory=list)
    prepared: dict[int, _Prepared] = field(default_factory=dict)
    memory: list[DeviceMemory | PinnedMemory] = field(default_factory=list)

    def free(self) -> None:
        """Wait for what still runs, then free everything."""
        with suppress(EngineError), self.device.current():
            for work in (self.done, self.stream):
                with suppress(EngineError):  # that an earlier run failed must not keep memory
                    work.synchronise()
            for prepared in self.prepared.values():
                prepared.close()
            for execution in self.plain:
                execution.close()
        for resource in (*self.memory, self.done, self.ready, self.stream):
            resource.close()


class TensorRTContext:
    """Runs a plan, for one thread at a time. Its calls run one after the other, whatever streams they are put on.

    Attributes:
        stream: where work runs that is given no other stream.
    """

    def __init__(self, plan: LoadedPlan, device: Device, observer: RunObserver | None = None) -> None:
        """Use `TensorRTEngine.create_context`. Raises EngineError where memory does not suffice."""
        self._plan, self._device = plan, device
        self._observer: RunObserver = observer or _NoObserver()
        self.stream = Stream.create(device)
        self._last = self.stream
        self._recorded = False
        self._held = _Held(device, self.stream, Event(device), Event(device))
        self._finalizer = weakref.finalize(self, self._held.free)
        self._activations: DeviceMemory | None = None
        self._buffers: dict[str, DeviceArray] = {}
        self._staging: dict[str, NDArray[Any]] = {}

    def enqueue(
        self, images: object, outputs: Mapping[str, object] | None = None, stream: object = None
    ) -> dict[str, Any]:
        """Put one batch on a stream, without copying anything and without waiting.

        The work starts after what is pending on the streams that the arrays' interfaces name. Arrays whose interface
        names none (PyTorch's, pycuda's) must be complete, or be made on `stream`.

        A stream that the caller is recording as a CUDA graph will do, after one call for as many images that was not
        recorded, in which TensorRT sets itself up. From then on this context's `enqueue` is that graph's alone, as
        another call would change what the graph runs on. `run` and `close` wait for the graph's last launch; nothing
        but the caller keeps the arrays alive that the graph uses.

        Args:
            images: (N, S, S, 3) uint8 BGR in GPU memory: anything with `__cuda_array_interface__`. It must stay as it
                is until the work is done.
            outputs: arrays in GPU memory for the results by name, shaped as the contract says for N images. Those left
                out are taken from this context.
            stream: ours, one of pycuda, PyTorch or CuPy, or a handle; None for this context's own.

        Returns:
            All outputs by name: the caller's arrays as they were given, DeviceArray for the others. The latter hold
            their values until the next call, which must come on the same stream or after they were used.

        Raises:
            UsageError: an array or stream is not as described, the plan takes no such batch, or an earlier call was
                recorded in a graph.
            EngineError: TensorRT refused to run, or the context was closed.
        """
        held, given = self._open(), dict(outputs or {})
        if self._recorded:
            raise UsageError("an earlier call of this context was recorded in a CUDA graph; make another context")
        self._check_names(given)
        with self._device.current():
            order = held.stream if stream is None else as_stream(stream, self._device)
            source = as_device_array(
                images, INPUT_NAME, self._plan.images.dtype, (None, *self._plan.images.shape), self._device, False
            )
            count = source.shape[0]
            self._plan.check_batch(count)
            results = {
                name: as_device_array(given[name], name, spec.dtype, (count, *spec.shape), self._device, True)
                if name in given
                else self._buffer(name).first(count, order)
                for name, spec in self._plan.outputs.items()
            }
            if not held.plain:
                held.plain.append(self._create_execution(native_graphs=False))
            held.plain[0].bind({INPUT_NAME: source, **results})
            self._follow(order, [source, *(results[name] for name in given)])
            try:
                held.plain[0].enqueue(order)
            finally:
                held.done.record(order)
                self._last = order
            self._recorded = order.is_recording
        return {name: given.get(name, array) for name, array in results.items()}

    def run(self, images: Image) -> list[dict[str, NDArray[Any]]]:
        """Run one batch from memory of the host and wait for it.

        Args:
            images: (N, S, S, 3) uint8 BGR.

        Returns:
            The outputs of each image by name, in the order of the contract, without batch dimension. Those of a full
            graph are cut to the image's detections. The arrays are the caller's to keep.

        Raises:
            UsageError: the array is not as described, or the plan takes no such batch.
            EngineError: TensorRT refused to run, the run failed, or the context was closed.
        """
        expected = self._plan.images
        if images.dtype != expected.dtype or images.shape[1:] != expected.shape:
            raise UsageError(
                f"expected images to be {expected.dtype.name} of shape (N, {str(expected.shape)[1:-1]}), "
                f"got {images.dtype.name} of shape {images.shape}"
            )
        count = len(images)
        self._plan.check_batch(count)
        held = self._open()
        with self._device.current():
            try:
                self._follow(held.stream, [])
                self._observer.on_host("begun")
                np.copyto(self._stage(INPUT_NAME)[:count], images)
                self._observer.on_host("staged")
                self._replay(count)
                held.stream.synchronise()
                self._observer.on_host("finished")
                results = self._collect(count)
                self._observer.on_host("collected")
                return results
            except BaseException:
                with suppress(EngineError):  # the next call must not find this one still at work on its buffers
                    held.stream.synchronise()
                raise

    def close(self) -> None:
        """Wait for what still runs and free everything, this context's arrays too. Calling it again does nothing."""
        self._finalizer()

    def _open(self) -> _Held:
        if not self._finalizer.alive:
            raise EngineError("this TensorRT context was closed; make another from the engine")
        return self._held

    def _check_names(self, given: Mapping[str, object]) -> None:
        unknown = given.keys() - self._plan.outputs.keys()
        if unknown:
            raise UsageError(
                f"there is no output {', '.join(map(repr, sorted(unknown)))}; this plan has "
                f"{', '.join(self._plan.outputs)}"
            )

    def _follow(self, order: Stream, arrays: list[DeviceArray]) -> None:
        """Let what is put on `order` from now on start after our last work and after what writes the arrays."""
        if self._last.handle != order.handle:
            order.wait(self._held.done)
        for handle, stream in {array.stream.handle: array.stream for array in arrays if array.stream}.items():
            if handle != order.handle:
                self._held.ready.record(stream)
                order.wait(self._held.ready)

    def _replay(self, count: int) -> None:
        """Put the run of one batch in the staging buffers on our stream, from the second time on as one recorded graph.

        The first run of a shape is where TensorRT finishes setting up, which cannot be recorded.
        """
        prepared = self._prepare(count)
        if not prepared.ran:
            names = (INPUT_NAME, *self._plan.outputs)
            prepared.execution.bind({name: self._buffer(name).first(count) for name in names})
            self._work(prepared.execution, count)
            prepared.ran = True
            return
        if prepared.recordable and prepared.graph is None:
            try:
                prepared.graph = Graph(self._device, self.stream, lambda: self._work(prepared.execution, count))
            except EngineError:  # a layer that synchronises, say; such a context is as good as before without
                prepared.recordable = False
        if prepared.graph is None:
            self._work(prepared.execution, count)
        else:
            prepared.graph.launch(self.stream)

    def _prepare(self, count: int) -> _Prepared:
        """What runs batches of this size. The size that was not asked for the longest is forgotten beyond a number."""
        held = self._held.prepared
        prepared = held.pop(count, None)
        if prepared is None:
            if len(held) == MOST_PREPARED:
                held.pop(next(iter(held))).close()  # runs from the host are waited for, so it is idle
            execution = self._create_execution(native_graphs=True)
            prepared = _Prepared(execution, recordable=not self._plan.records_graphs)
        held[count] = prepared
        return prepared

    def _work(self, execution: Execution, count: int) -> None:
        """Put on the stream all that depends on the batch size only, and so can be recorded: copy, network, copies.

        Masks are not copied here, as nobody knows yet how many of them there are.
        """
        self._observer.on_stream("upload", self.stream)
        self.stream.upload(self._buffer(INPUT_NAME).address, self._stage(INPUT_NAME)[:count])
        self._observer.on_stream("uploaded", self.stream)
        execution.enqueue(self.stream)
        self._observer.on_stream("download", self.stream)
        for name in self._plan.outputs:
            if name != MASKS:
                self.stream.download(self._stage(name)[:count], self._buffer(name).address)
        self._observer.on_stream("downloaded", self.stream)

    def _collect(self, count: int) -> list[dict[str, NDArray[Any]]]:
        """The outputs of each image from the staging buffers. Of the masks, only those of detections are fetched."""
        staging = {name: self._stage(name) for name in self._plan.outputs}
        if COUNT not in staging:
            return [{name: array[i].copy() for name, array in staging.items()} for i in range(count)]
        counts = staging.pop(COUNT)[:count].copy()
        masks, most = self._buffer(MASKS), self._plan.outputs[MASKS].shape[0]
        if not ((counts >= 0) & (counts <= most)).all():
            raise EngineError(
                f"the plan reports {counts.ravel().tolist()} detections of at most {most}; build it again"
            )
        for i, found in enumerate(counts[:, 0].tolist()):
            if found:
                address = masks.address + i * (masks.nbytes // self._plan.max_batch)
                self.stream.download(staging[MASKS][i, :found], address)
        self.stream.synchronise()
        return [
            {COUNT: counts[i]} | {name: array[i, : counts[i, 0]].copy() for name, array in staging.items()}
            for i in range(count)
        ]

    def _create_execution(self, native_graphs: bool) -> Execution:
        if self._activations is None:
            self._activations = DeviceMemory(self._device, self._plan.engine.device_memory_size_v2)
            self._held.memory.append(self._activations)
        return Execution(self._plan, self._activations, native_graphs)

    def _buffer(self, name: str) -> DeviceArray:
        """This context's own array of a tensor on the GPU, for the largest batch; made when it is first needed."""
        if name not in self._buffers:
            shape, dtype = self._full(name)
            memory = DeviceMemory(self._device, math.prod(shape) * dtype.itemsize)
            self._held.memory.append(memory)
            self._buffers[name] = DeviceArray(shape, dtype, memory.address, memory)
        return self._buffers[name]

    def _stage(self, name: str) -> NDArray[Any]:
        """The staging buffer of a tensor: its array in pinned memory of the host, made when it is first needed."""
        if name not in self._staging:
            shape, dtype = self._full(name)
            memory = PinnedMemory(self._device, math.prod(shape) * dtype.itemsize)
            self._held.memory.append(memory)
            self._staging[name] = memory.as_array(shape, dtype)
        return self._staging[name]

    def _full(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        spec = self._plan.images if name == INPUT_NAME else self._plan.outputs[name]
        return (self._plan.max_batch, *spec.shape), spec.dtype
