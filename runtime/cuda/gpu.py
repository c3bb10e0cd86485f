"""The GPU of this machine, if there is one."""

from __future__ import annotations

from typing import NamedTuple

from yolact.runtime.errors import EngineError


class Gpu(NamedTuple):
    """A CUDA device.

    Attributes:
        name: as the driver calls it.
        arch: its architecture, such as ``sm_86``.
        cuda_version: newest CUDA that the driver supports, such as ``13.0``.
    """

    name: str
    arch: str
    cuda_version: str


def read_gpu(index: int = 0) -> Gpu:
    """The device of this index. Raises EngineError with the reason where there is none that can be used."""
    from yolact.runtime.cuda.device import Device

    device = Device.open(index)
    try:
        major, minor = device.compute_capability
        return Gpu(device.name, f"sm_{major}{minor}", ".".join(map(str, device.driver_version)))
    finally:
        device.close()


def find_gpu(index: int = 0) -> Gpu | None:
    """The device of this index, None where there is none that can be used."""
    try:
        return read_gpu(index)
    except EngineError:
        return None
