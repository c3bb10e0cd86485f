"""A TensorRT context that says how long its copies took. Not yet run on a GPU."""

from __future__ import annotations

import time
from typing import Any

from numpy.typing import NDArray

from yolact.runtime.cuda.device import Device, TimingEvent
from yolact.runtime.images.arrays import Image
from yolact.runtime.tensorrt.context import TensorRTContext
from yolact.runtime.tensorrt.plan import Execution, Plan


class TimedContext(TensorRTContext):
    """The context that `TensorRTEngine.detect` uses, with events around its copies; they become part of its graphs.

    Attributes:
        host_to_device_ms: of the last run: copying the batch to pinned memory, and from there to the GPU.
        device_to_host_ms: of the last run: copying the results to pinned memory, from there to arrays of their own,
            and waiting for the masks, which are only fetched when their number is known.
    """

    def __init__(self, plan: Plan, device: Device) -> None:
        """`plan`: of a TensorRTEngine on `device`. Raises EngineError where memory does not suffice."""
        super().__init__(plan, device)
        self.host_to_device_ms = self.device_to_host_ms = 0.0
        self._before_in, self._after_in, self._before_out, self._after_out = (TimingEvent(device) for _ in range(4))

    def run(self, images: Image) -> list[dict[str, NDArray[Any]]]:
        """As of TensorRTContext; leaves the times in the attributes."""
        self.host_to_device_ms = self.device_to_host_ms = 0.0
        outputs = super().run(images)
        self.host_to_device_ms += self._after_in.milliseconds_since(self._before_in)
        self.device_to_host_ms += self._after_out.milliseconds_since(self._before_out)
        return outputs

    def _fill(self, images: Image) -> None:
        start = time.perf_counter()
        super()._fill(images)
        self.host_to_device_ms += 1000 * (time.perf_counter() - start)

    def _work(self, execution: Execution, count: int) -> None:
        self._before_in.record(self.stream)
        self._copy_in(count)
        self._after_in.record(self.stream)
        execution.put_on(self.stream)
        self._before_out.record(self.stream)
        self._copy_out(count)
        self._after_out.record(self.stream)

    def _collect(self, count: int) -> list[dict[str, NDArray[Any]]]:
        start = time.perf_counter()
        outputs = super()._collect(count)
        self.device_to_host_ms += 1000 * (time.perf_counter() - start)
        return outputs

    def close(self) -> None:
        """As of TensorRTContext."""
        super().close()
        for event in (self._before_in, self._after_in, self._before_out, self._after_out):
            event.close()
