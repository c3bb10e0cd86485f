"""Runs a TensorRT plan for one thread: a stream, buffers, and the execution contexts that share them.

NVIDIA's documentation (Best Practices, CUDA Graphs) leaves undefined what a graph does after the context it was
recorded from was changed, and advises one context per graph with shared activation memory. So there is one context for
callers' arrays, whose shapes and addresses change, and one for each batch size from the host, whose never do.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.contract import INPUT_NAME
from yolact.runtime.cuda.arrays import DeviceArray, as_device_array, as_stream
from yolact.runtime.cuda.device import Device, DeviceMemory, Event, Graph, PinnedMemory, Stream
from yolact.runtime.cuda.device_detections import DeviceDetections
from yolact.runtime.cuda.kernels import KernelLibrary
from yolact.runtime.errors import EngineError, UsageError, YolactError
from yolact.runtime.images.arrays import FloatArray, Image
from yolact.runtime.images.packed_masks import PackedMask
from yolact.runtime.tensorrt.context_resources import Held, Prepared
from yolact.runtime.tensorrt.image_upload import ImageUpload
from yolact.runtime.tensorrt.kept_results import KeptResults
from yolact.runtime.tensorrt.loaded_plan import Execution, LoadedPlan
from yolact.runtime.tensorrt.mask_download import MaskDownload
from yolact.runtime.tensorrt.mask_kernels import MaskKernels, WantedMasks
from yolact.runtime.tensorrt.output_block import OutputBlock
from yolact.runtime.tensorrt.recorded_runs import Batch
from yolact.runtime.tensorrt.run_observer import NoObserver, RunObserver

COUNT, MASKS = "num_detections", "masks"

MOST_PREPARED = 8
"""Batch sizes from the host whose contexts and graphs are kept: each takes memory of the GPU."""


class TensorRTContext:
    """Runs a plan, for one thread at a time. Its calls run one after the other, whatever streams they are put on.

    Attributes:
        stream: where work runs that is given no other stream.
    """

    def __init__(
        self,
        plan: LoadedPlan,
        device: Device,
        kernels: KernelLibrary | None = None,
        observer: RunObserver | None = None,
    ) -> None:
        """Use `TensorRTEngine.create_context`. Raises EngineError where memory does not suffice.

        `run_images` and `mask_bits` need the `kernels`.
        """
        self._plan, self._device = plan, device
        self._observer: RunObserver = observer or NoObserver()
        self.stream = Stream.create(device)
        self._last = self.stream
        self._recorded = False
        self._held = Held(device, self.stream, Event(device), Event(device))
        self._finalizer = weakref.finalize(self, self._held.free)
        self._activations: DeviceMemory | None = None
        self._buffers: dict[str, DeviceArray] = {}
        self._staging: dict[str, NDArray[Any]] = {}
        fetched = {name: spec for name, spec in plan.outputs.items() if name != MASKS}
        self._fetched = OutputBlock(device, fetched, plan.max_batch)
        self._held.memory.append(self._fetched)
        self._unfetched = [INPUT_NAME, *(plan.outputs.keys() - fetched.keys())]
        if kernels is not None:
            self._upload = ImageUpload(device, kernels, plan.images.shape[0], self._held.recorded.forget)
            masks = MaskKernels(device, kernels)
            self._download, self._keep = MaskDownload(device, masks), KeptResults(device, masks)
            self._held.memory += [self._upload, masks, self._download, self._keep]

    def enqueue(
        self, images: object, outputs: Mapping[str, object] | None = None, stream: object = None
    ) -> dict[str, Any]:
        """Put one batch on a stream, without copying anything and without waiting.

        The work starts after the pending work on the streams that the arrays' interfaces name. Arrays whose interface
        names none (PyTorch's, pycuda's) must be complete, or be made on `stream`.

        The caller may be recording the stream as a CUDA graph, after one call for as many images that was not
        recorded, in which TensorRT sets itself up. From then on this context's `enqueue` belongs to that graph alone,
        as another call would change the memory that the graph runs on. `run` and `close` wait for the graph's last
        launch; the caller must keep the arrays alive that the graph uses.

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
        with self._running(count) as stream:
            self._observer.on_host("begun")
            np.copyto(self._stage(INPUT_NAME)[:count], images)
            self._observer.on_host("staged")
            address, staged = self._buffer(INPUT_NAME).address, self._stage(INPUT_NAME)[:count]
            self._put_run(Batch(count, ()), lambda: stream.upload(address, staged))
            stream.synchronise()
            self._observer.on_host("finished")
            results = self._collect(count)
            if COUNT in self._plan.outputs:
                masks = self._fetch_masks([len(one["scores"]) for one in results])
                results = [one | {MASKS: mask} for one, mask in zip(results, masks, strict=True)]
            self._observer.on_host("collected")
            return [{name: one[name] for name in self._plan.outputs} for one in results]

    def run_images(self, images: Sequence[Image]) -> list[dict[str, NDArray[Any]]]:
        """Run one batch of images of any sizes, which are stretched on the GPU, and wait for it.

        Args:
            images: (H, W, 3) uint8 BGR each, as `check_image` wants them, in any layout.

        Returns:
            As `run`, without masks: `mask_bits` and `masks_of` fetch those that are wanted, until the next run.

        Raises:
            UsageError: the plan takes no such batch.
            EngineError: TensorRT refused to run, the run failed, or the context was closed.
        """
        count = len(images)
        with self._running(count) as stream:
            self._observer.on_host("begun")
            places = self._upload.stage(images)
            self._observer.on_host("staged")
            address = self._buffer(INPUT_NAME).address
            self._put_run(Batch(count, places), lambda: self._upload.enqueue(places, address, stream))
            stream.synchronise()
            self._observer.on_host("finished")
            results = self._collect(count)
            self._observer.on_host("collected")
            return results

    def mask_bits(self, wanted: Sequence[WantedMasks]) -> list[tuple[PackedMask, ...]]:
        """Masks of the last `run_images` as bits at image resolution, for each image those that are wanted.

        Waits once, or not at all where nothing is wanted. Raises EngineError where that fails.
        """
        with self._running() as stream:
            total = self._download.enqueue(wanted, stream)
            if total:
                stream.synchronise()
            return self._download.collect(wanted, total)

    def keep(
        self, wanted: Sequence[WantedMasks], known: Sequence[Mapping[str, NDArray[Any]]]
    ) -> list[DeviceDetections]:
        """As `mask_bits`, left on the GPU in memory that is the caller's, with other arrays of the same detections."""
        with self._running() as stream:
            found = self._keep.enqueue(wanted, known, stream)
            stream.synchronise()
            return found

    def fetch_masks(self, index: int, count: int) -> FloatArray:
        """The first `count` masks (count, Hp, Wp) of an image of the last run. Raises EngineError where that fails."""
        with self._running():
            return self._fetch_masks([0] * index + [count])[-1]

    def masks_at(self, index: int) -> DeviceArray:
        """All masks (D, Hp, Wp) float32 of an image of the last run, which hold until the next one."""
        masks = self._buffer(MASKS)
        address = masks.address + index * (masks.nbytes // self._plan.max_batch)
        return DeviceArray(masks.shape[1:], masks.dtype, address, masks.owner)

    def close(self) -> None:
        """Wait for what still runs and free everything, this context's arrays too. Calling it again does nothing."""
        self._finalizer()

    def _open(self) -> Held:
        if not self._finalizer.alive:
            raise EngineError("this TensorRT context was closed; make another from the engine")
        return self._held

    @contextmanager
    def _running(self, count: int | None = None) -> Iterator[Stream]:
        """Wraps work on our stream, of a batch of `count` images where it is a run. After a failure none is pending."""
        if count is not None:
            self._plan.check_batch(count)
        held = self._open()
        with self._device.current():
            try:
                self._follow(held.stream, [])
                yield held.stream
            except BaseException:
                with suppress(EngineError):  # the next call must not find this one still at work on its buffers
                    held.stream.synchronise()
                raise

    def _check_names(self, given: Mapping[str, object]) -> None:
        unknown = given.keys() - self._plan.outputs.keys()
        if unknown:
            raise UsageError(
                f"there is no output {', '.join(map(repr, sorted(unknown)))}; this plan has "
                f"{', '.join(self._plan.outputs)}"
            )

    def _follow(self, order: Stream, arrays: list[DeviceArray]) -> None:
        """Let work put on `order` from now on start after our last work and after the work that writes the arrays."""
        if self._last.handle != order.handle:
            order.wait(self._held.done)
        for handle, stream in {array.stream.handle: array.stream for array in arrays if array.stream}.items():
            if handle != order.handle:
                self._held.ready.record(stream)
                order.wait(self._held.ready)

    def _put_run(self, batch: Batch, upload: Callable[[], None]) -> None:
        """Put the run of one batch on our stream, as one recorded graph where it has come again.

        `upload` puts the copy of the images from the staging buffers to the network's input on the stream.
        """

        def bring() -> None:
            self._observer.on_stream("upload", self.stream)
            upload()
            self._observer.on_stream("uploaded", self.stream)

        def everything() -> None:
            bring()
            self._work(prepared.execution, batch.images)

        prepared = self._prepare(batch.images)
        graph = self._held.recorded.find(batch, lambda: self._record(prepared, everything))
        if graph is not None:
            graph.launch(self.stream)
            return
        bring()
        self._replay(prepared, batch.images)

    def _record(self, prepared: Prepared, work: Callable[[], None]) -> Graph | None:
        """The work that `work` puts on our stream, as a graph; None where it cannot be recorded.

        In the first run of a batch size TensorRT finishes setting up, which cannot be recorded.
        """
        if not prepared.ran or not prepared.recordable:
            return None
        try:
            return Graph(self._device, self.stream, work)
        except YolactError:  # a layer that synchronises, say; such a context is as good as before without
            prepared.recordable = False
            return None

    def _replay(self, prepared: Prepared, count: int) -> None:
        """Put network and copies back on our stream, from the second time on as one recorded graph."""
        if not prepared.ran:
            own = {name: self._buffer(name).first(count) for name in self._unfetched}
            prepared.execution.bind(own | self._fetched.on_device(count))
        if prepared.graph is None:
            prepared.graph = self._record(prepared, lambda: self._work(prepared.execution, count))
        if prepared.graph is None:
            self._work(prepared.execution, count)
            prepared.ran = True
        else:
            prepared.graph.launch(self.stream)

    def _prepare(self, count: int) -> Prepared:
        """The context for batches of this size. Where there are too many, the one unused for longest is dropped."""
        held = self._held.prepared
        prepared = held.pop(count, None)
        if prepared is None:
            if len(held) == MOST_PREPARED:
                oldest = next(iter(held))  # runs from the host are waited for, so it is idle
                self._held.recorded.forget(oldest)
                held.pop(oldest).close()
            execution = self._create_execution(native_graphs=True)
            prepared = Prepared(execution, recordable=not self._plan.records_graphs)
        held[count] = prepared
        return prepared

    def _work(self, execution: Execution, count: int) -> None:
        """Put on the stream all that depends on the batch size only, and so can be recorded: network and copies.

        Masks are not copied here, as their number is not known yet.
        """
        execution.enqueue(self.stream)
        self._observer.on_stream("download", self.stream)
        self._fetched.download(count, self.stream)
        self._observer.on_stream("downloaded", self.stream)

    def _collect(self, count: int) -> list[dict[str, NDArray[Any]]]:
        """The outputs of each image but the masks, from the staging buffers, cut to the image's detections."""
        staging = self._fetched.on_host(count)
        if COUNT not in staging:
            return [{name: array[i].copy() for name, array in staging.items()} for i in range(count)]
        counts, most = staging.pop(COUNT).copy(), self._plan.outputs[MASKS].shape[0]
        if not ((counts >= 0) & (counts <= most)).all():
            raise EngineError(
                f"the plan reports {counts.ravel().tolist()} detections of at most {most}; build it again"
            )
        return [
            {COUNT: counts[i]} | {name: array[i, : counts[i, 0]].copy() for name, array in staging.items()}
            for i in range(count)
        ]

    def _fetch_masks(self, counts: Sequence[int]) -> list[FloatArray]:
        """The first masks of each image, so many of each."""
        staging = self._stage(MASKS)
        for i, count in enumerate(counts):
            if count:
                self.stream.download(staging[i, :count], self.masks_at(i).address)
        self.stream.synchronise()
        return [staging[i, :count].copy() for i, count in enumerate(counts)]

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
