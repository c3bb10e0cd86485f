"""Times the copies between the host and the GPU that a TensorRT plan needs. Not yet run on a GPU."""

from __future__ import annotations

import time
from typing import get_args

from yolact.runtime.cuda.device import Device, Stream, TimingEvent
from yolact.runtime.tensorrt.run_observer import HostMoment, StreamMoment


class CopyClock:
    """Times the copies to the GPU and back, as the observer of a context. Its events become part of the CUDA graphs."""

    def __init__(self, device: Device) -> None:
        """`device`: the context's GPU. Raises EngineError where no event can be made."""
        self._seconds: dict[HostMoment, float] = {}
        self._events: dict[StreamMoment, TimingEvent] = {
            moment: TimingEvent(device) for moment in get_args(StreamMoment)
        }

    def on_host(self, moment: HostMoment) -> None:
        """See `RunObserver`."""
        self._seconds[moment] = time.perf_counter()

    def on_stream(self, moment: StreamMoment, stream: Stream) -> None:
        """See `RunObserver`."""
        self._events[moment].record(stream)

    @property
    def host_to_device_ms(self) -> float:
        """Duration of copying the images of the last run to pinned memory and from there to the network's input.

        Where the GPU stretches the images, this is included.
        """
        on_host = self._seconds["staged"] - self._seconds["begun"]
        return 1000 * on_host + self._events["uploaded"].milliseconds_since(self._events["upload"])

    @property
    def device_to_host_ms(self) -> float:
        """Duration of copying the results of the last run to pinned memory and from there to new arrays.

        Where masks are enlarged on the CPU, waiting for them is included: they are fetched once their number is known.
        """
        on_host = self._seconds["collected"] - self._seconds["finished"]
        return 1000 * on_host + self._events["downloaded"].milliseconds_since(self._events["download"])

    def close(self) -> None:
        """Free the events, after the context was closed. Calling it again does nothing."""
        for event in self._events.values():
            event.close()
