"""One training process or many: PyTorch's distributed package, started by `torchrun`."""

from __future__ import annotations

import os
from datetime import timedelta
from types import TracebackType

import torch
import torch.distributed as dist
from torch import Tensor

from yolact.runtime.errors import UsageError
from yolact.runtime.fields import shown
from yolact.training.torch_device import check_device

MAX_PROCESSES = 1 << 16


class Processes:
    """This process among those that train together; alone where it was not started by `torchrun`.

    Attributes:
        rank: number of this process.
        world: how many there are.
        device: where this one computes.
    """

    def __init__(self, device: str) -> None:
        """``device``: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; several processes get one GPU each.

        Raises UsageError where there is no such device, or `torchrun` did not set the environment.
        """
        self.world = _from_environment("WORLD_SIZE", 1, 1, MAX_PROCESSES)
        self.rank = _from_environment("RANK", 0, 0, self.world - 1)
        local = _from_environment("LOCAL_RANK", 0, 0, self.world - 1)
        self.device = _find_device(device, local if self.world > 1 else None)

    def __enter__(self) -> Processes:
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.world > 1:
            try:
                # The others wait while the first one validates.
                dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo", timeout=timedelta(days=1))
            except ValueError as error:
                raise UsageError(f"cannot join {self.world} processes ({error}); start them with torchrun") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.world > 1 and error is None:  # after an error it might wait for processes that never come
            dist.destroy_process_group()

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes files and prints."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Elementwise sum over all processes."""
        if self.world > 1:
            values = values.clone()
            dist.all_reduce(values)
        return values

    def largest(self, value: int) -> int:
        """The largest of all processes' numbers."""
        if self.world == 1:
            return value
        shared = torch.tensor([value], device=self.device)
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return int(shared.item())

    def wait(self) -> None:
        """Wait until all processes have called this."""
        if self.world > 1:
            dist.barrier()


def _from_environment(name: str, default: int, least: int, most: int) -> int:
    """A number that `torchrun` hands over. Raises UsageError for anything else."""
    given = os.environ.get(name)
    if given is None:
        return default
    number = int(given) if given.isascii() and given.isdecimal() and len(given) < 10 else -1
    if not least <= number <= most:
        raise UsageError(
            f"the environment variable {name} must be a number from {least} to {most}, got {shown(given)}; start "
            f"several processes with torchrun, or unset {name}"
        )
    return number


def _find_device(name: str, local_rank: int | None) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.device_count() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"expected auto, cpu, cuda or cuda:N as device, got {name!r}")
    if device.type == "cuda":
        if device.index is None:
            device = torch.device("cuda", local_rank or 0)
        elif local_rank is not None:
            raise UsageError(f"several processes take a GPU each, so the device must be cuda, got {name}")
        check_device(str(device))
    return device
