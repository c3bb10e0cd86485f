"""Processes of the contenders: each has its own, so that threads and memory of one do not disturb another."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.cpu.runtimes.contenders import CONTENDERS, Contender
from benchmarks.cpu.runtimes.files import Files
from yolact.runtime.bench.machine import peak_host_memory_mib
from yolact.runtime.detections import Detections
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.image_files import read_image
from yolact.runtime.images.preprocess import Preprocessor
from yolact.runtime.wording import one_line

if TYPE_CHECKING:
    from yolact.training.data.ground_truth import GroundTruth

ANSWER_SECONDS = 400
"""Time limit of an answer. `torch.compile` takes a minute or two for its first image on two cores."""

END_SECONDS = 5

LONGEST_REASON = 300


class Failed(Exception):
    """A contender cannot run or answer; the message gives the reason."""


class Heads:
    """A contender up to the heads of the network."""

    def __init__(self, contender: Contender, files: Files, threads: int, photos: Sequence[Image]) -> None:
        if contender.open_heads is None:
            raise Failed("another contender has the same heads")
        self._run = contender.open_heads(files, threads)
        preprocess = Preprocessor(files.metadata.config.image_size)
        self._inputs = [preprocess([photo]) for photo in photos]

    def answer(self, index: int) -> list[NDArray[Any]]:
        """The heads of a photo."""
        return self._run(self._inputs[index])

    def time(self) -> dict[str, float]:
        """Milliseconds of one run on the first photo."""
        start = time.perf_counter()
        self._run(self._inputs[0])
        return {"total": (time.perf_counter() - start) * 1e3}

    def peak_memory(self) -> float:
        """The most memory in MB that this process has held."""
        return peak_host_memory_mib()


class EndToEnd:
    """A contender from an image to masks of its size."""

    def __init__(self, contender: Contender, files: Files, threads: int, photos: Sequence[Image]) -> None:
        self._pipeline = contender.open_pipeline(files, threads)
        self._photos = photos

    def answer(self, index: int) -> Detections:
        """The detections in a photo."""
        return self._pipeline(self._photos[index])

    def time(self) -> dict[str, float]:
        """Milliseconds of one run on the first photo, and of its parts if it has some."""
        start = time.perf_counter()
        found = self._pipeline(self._photos[0])
        middle = time.perf_counter()
        assert found.masks.dtype == np.bool_
        end = time.perf_counter()
        total, engine = (end - start) * 1e3, self._pipeline.engine_ms
        if engine is None:
            return {"total": total}
        return {
            "total": total,
            "engine": engine,
            "around": (middle - start) * 1e3 - engine,
            "masks": (end - middle) * 1e3,
        }

    def peak_memory(self) -> float:
        """The most memory in MB that this process has held."""
        return peak_host_memory_mib()

    def encode(self, photo: Path) -> int:
        """Find instances in a photo and encode their masks; returns their number."""
        return len(self._pipeline(read_image(photo)).rle())

    def accuracy(self, truth: GroundTruth) -> dict[str, float | None]:
        """Average precision on annotated images, fractions of 1."""
        from yolact.training.evaluation.evaluate import evaluate

        scores = evaluate(self._pipeline, truth, progress=False).scores
        return {"mask": scores.mask.ap, "box": scores.box.ap}


LEVELS = {"heads": Heads, "end_to_end": EndToEnd}


class Worker:
    """The process of a contender, which answers one question after the other."""

    def __init__(self, name: str, level: str, files: Files, threads: int, photos: Sequence[Image] = ()) -> None:
        """Start the process; its first answer comes once the contender is open."""
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, name, level, files, threads, photos), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, question: str, *arguments: Any) -> Any:
        """The answer. Raises Failed with the contender's reason, or because its process hangs or died."""
        self.put(question, *arguments)
        return self.get()

    def put(self, question: str, *arguments: Any) -> None:
        """Ask without waiting."""
        with contextlib.suppress(OSError):  # where the process is gone, `get` says how it ended
            self._pipe.send((question, arguments))

    def get(self) -> Any:
        """The answer to the question that was put. Raises Failed."""
        try:
            if not self._pipe.poll(ANSWER_SECONDS):
                raise Failed(f"no answer within {ANSWER_SECONDS} s")
            reason, answer = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join(10)
            raise Failed(f"its process ended with exit code {self._process.exitcode}") from None
        if reason is not None:
            raise Failed(reason)
        return answer

    def close(self) -> None:
        """End the process: it ends by itself when the pipe closes, and is killed if it does not."""
        self._pipe.close()
        self._process.join(END_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(pipe: Connection, name: str, level: str, files: Files, threads: int, photos: Sequence[Image]) -> None:
    """The loop of the process: it answers each question, or sends the reason for a failure, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the process that asks
    cv2.setNumThreads(threads)
    subject = None
    while True:
        try:
            question, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            subject = subject or LEVELS[level](CONTENDERS[name], files, threads, photos)
            pipe.send((None, getattr(subject, question)(*arguments)))
        except Exception as error:  # whatever another project's runtime raises is its answer
            pipe.send((describe(error), None))


def describe(error: Exception) -> str:
    """The reason for a contender's failure, in one line."""
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed"
    text = one_line(error) or type(error).__name__
    return text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 3] + "..."
