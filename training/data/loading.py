"""From a dataset to an endless, repeatable stream of batches, prepared by worker processes.

What the stream holds at a position depends on the seed and the position alone: not on the number of workers or
processes, and not on where a resumed run starts.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.process import BaseProcess

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from yolact.runtime.config import ModelConfig
from yolact.runtime.errors import DatasetError, YolactError
from yolact.training.data.augmentation import Augmentation, augment, stretch
from yolact.training.data.datasets import Dataset
from yolact.training.models.configs import MEAN_COLOUR

_REDRAWS = 100


@dataclass(frozen=True)
class Targets:
    """Ground truth of one image.

    Attributes:
        boxes: (n, 4) float32 xyxy relative to the image, with n >= 1.
        class_ids: (n,) int64, 0..C-1.
        masks: (n, S, S) of 0 and 1 in any type, at the size of the network input.
        crowd_boxes: (m, 4) float32 xyxy; regions of uncounted objects.
    """

    boxes: Tensor
    class_ids: Tensor
    masks: Tensor
    crowd_boxes: Tensor


@dataclass
class Batch:
    """The data that one process learns from in one step.

    Attributes:
        images: (B, S, S, 3) BGR, float32 in about 0..255.
        targets: of each image.
    """

    images: Tensor
    targets: list[Targets]

    def to(self, device: torch.device) -> Batch:
        """The batch on another device; copies from pinned memory are not waited for."""
        moved = [
            Targets(
                *(tensor.to(device, non_blocking=True) for tensor in (t.boxes, t.class_ids, t.masks, t.crowd_boxes))
            )
            for t in self.targets
        ]
        return Batch(self.images.to(device, non_blocking=True), moved)

    def pin_memory(self) -> Batch:
        """The batch in pinned memory, from which GPUs copy in the background; PyTorch's data loader calls this."""
        pinned = [
            Targets(*(tensor.pin_memory() for tensor in (t.boxes, t.class_ids, t.masks, t.crowd_boxes)))
            for t in self.targets
        ]
        return Batch(self.images.pin_memory(), pinned)


class Stream(TorchDataset["tuple[Tensor, Targets] | YolactError"]):
    """The images of a dataset in a random order, again and again, each time augmented differently."""

    def __init__(self, dataset: Dataset, config: ModelConfig, seed: int, augmentation: Augmentation) -> None:
        """``config`` gives the size of the network input."""
        self._dataset, self._size, self._seed, self._augmentation = dataset, config.image_size, seed, augmentation
        self._order = lru_cache(maxsize=2)(self._shuffled)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_order"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._order = lru_cache(maxsize=2)(self._shuffled)

    def __getitem__(self, position: int) -> tuple[Tensor, Targets] | YolactError:
        """The image at a position of the stream, or an error.

        An error is returned and not raised, since raising it in a worker would change it on its way.
        """
        try:
            return self._prepared(position)
        except YolactError as error:
            return error

    def _prepared(self, position: int) -> tuple[Tensor, Targets]:
        epoch, offset = divmod(position, len(self._dataset))
        index = int(self._order(epoch)[offset])
        rng = np.random.default_rng([self._seed, 1, position])
        for _ in range(_REDRAWS):
            sample = stretch(augment(self._dataset[index], rng, MEAN_COLOUR, self._augmentation), self._size)
            if sample.masks.any():
                return torch.from_numpy(np.ascontiguousarray(sample.image)), Targets(
                    *map(torch.from_numpy, (sample.boxes, sample.class_ids, sample.masks, sample.crowd_boxes))
                )
            index = int(
                rng.integers(len(self._dataset))
            )  # nothing is left to learn from; the official code draws another image too
        raise DatasetError(f"{_REDRAWS} images in a row had no object with a mask; check the annotations")

    def _shuffled(self, epoch: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.random.default_rng([self._seed, 0, epoch]).permutation(len(self._dataset))


class _Positions(Sampler[list[int]]):
    """Positions of the batches of one process: every ``world``-th of those that a step takes in all."""

    def __init__(self, first_batch: int, batch_size: int, rank: int, world: int) -> None:
        self._next, self._batch_size, self._rank, self._world = first_batch, batch_size, rank, world

    def __iter__(self) -> Iterator[list[int]]:
        step = self._batch_size * self._world
        while True:
            start = self._next * step
            yield list(range(start + self._rank, start + step, self._world))
            self._next += 1


def load_batches(
    stream: Stream,
    batch_size: int,
    *,
    first_batch: int = 0,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
    pin_memory: bool = False,
) -> Iterator[Batch]:
    """Endless batches of ``batch_size`` for process ``rank`` of ``world``, from batch ``first_batch`` on.

    Raises YolactError where an image or its annotation is broken; the message names it.
    """
    loader = DataLoader(
        stream,
        batch_sampler=_Positions(first_batch, batch_size, rank, world),
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=pin_memory,
        worker_init_fn=_start_worker,
        prefetch_factor=4 if workers else None,
    )
    if workers:
        _allow_many_files()
    others = set(multiprocessing.active_children())
    batches = iter(loader)
    atexit.register(_kill, set(multiprocessing.active_children()) - others)
    try:
        for batch in batches:
            if isinstance(batch, YolactError):
                raise batch
            yield batch
    finally:
        # The workers end at once here. Were they left to the garbage collector, with the traceback of an error, their
        # queues would be closed before they were told, and it would wait 10 seconds for each of them.
        del batches


def _collate(items: list[tuple[Tensor, Targets] | YolactError]) -> Batch | YolactError:
    prepared = []
    for item in items:
        if isinstance(item, YolactError):
            return item
        prepared.append(item)
    return Batch(torch.stack([image for image, _ in prepared]), [targets for _, targets in prepared])


def _start_worker(_: int) -> None:
    # Signals often go to the whole process group; the main process decides what they mean and ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    cv2.setNumThreads(0)
    if hasattr(os, "nice"):  # not on Windows
        os.nice(10)  # the threads that train wait for each other, so one that is delayed delays all


def _allow_many_files() -> None:
    """Raise the soft limit: every tensor on its way from a worker is an open file."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such limit
        return
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _kill(workers: Iterable[BaseProcess]) -> None:
    """End the workers left at exit: the interpreter would send them SIGTERM, which they ignore, and wait for ever."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where PyTorch listens, to report dead workers
    for worker in workers:
        if worker.is_alive():
            worker.kill()
