"""Follows the runs of a context, to time them."""

from __future__ import annotations

from typing import Literal, Protocol

from yolact.runtime.cuda.device import Stream

HostMoment = Literal["begun", "staged", "finished", "collected"]
"""The moments of a run: it begins, its images are in pinned memory, the GPU is done, its results are in new arrays."""

StreamMoment = Literal["upload", "uploaded", "download", "downloaded"]
"""Beginnings and ends of the upload to the network's input and of the copy back, on the stream, around the network."""


class RunObserver(Protocol):
    """Follows the runs of a context from memory of the host, to time them."""

    def on_host(self, moment: HostMoment) -> None:
        """The host has come to this moment of a run."""

    def on_stream(self, moment: StreamMoment, stream: Stream) -> None:
        """Work put on the stream now, such as an event, comes at this moment.

        Where the run is recorded as a CUDA graph, so is that work: it is repeated at every launch, without this call.
        """


class NoObserver:
    """Looks away."""

    def on_host(self, moment: HostMoment) -> None:
        """See RunObserver."""

    def on_stream(self, moment: StreamMoment, stream: Stream) -> None:
        """See RunObserver."""
