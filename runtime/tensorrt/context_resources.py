"""The resources of a context on the GPU, and how they are freed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from yolact.runtime.cuda.device import Device, Event, Graph, Stream
from yolact.runtime.errors import EngineError
from yolact.runtime.tensorrt.loaded_plan import Execution
from yolact.runtime.tensorrt.recorded_runs import RecordedRuns


class _Closes(Protocol):
    def close(self) -> None: ...


@dataclass
class Prepared:
    """An execution context for one batch size, whose shapes and addresses stay as they are.

    Attributes:
        execution: the context.
        recordable: its work may become a CUDA graph.
        ran: it has run once, so its work can be recorded.
        graph: its recorded work without the upload of images, None before it is recorded.
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
class Held:
    """The resources of a TensorRTContext.

    They are an object of their own because the finalizer that frees them must not refer to the context: the garbage
    collector would never find that unused.
    """

    device: Device
    stream: Stream
    done: Event  # comes when this context's last work on a caller's stream is done
    ready: Event  # comes when the work is done that a caller's array is still waiting for
    plain: list[Execution] = field(default_factory=list)
    prepared: dict[int, Prepared] = field(default_factory=dict)
    recorded: RecordedRuns = field(default_factory=RecordedRuns)
    memory: list[_Closes] = field(default_factory=list)

    def free(self) -> None:
        """Wait for what still runs, then free everything."""
        with suppress(EngineError), self.device.current():
            for work in (self.done, self.stream):
                with suppress(EngineError):  # that an earlier run failed must not keep memory
                    work.synchronise()
            self.recorded.forget()
            for prepared in self.prepared.values():
                prepared.close()
            for execution in self.plain:
                execution.close()
        for resource in (*self.memory, self.done, self.ready, self.stream):
            resource.close()
