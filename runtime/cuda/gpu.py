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
    """The device of this index. Raises EngineError with the reason where there is none that can be used.

    Makes no CUDA context, which takes a good part of a second and hundreds of megabytes of the GPU's memory.
    """
    from yolact.runtime.cuda.device import compute_capability, device_handle, device_name
    from yolact.runtime.cuda.driver import Driver

    driver = Driver()
    handle = device_handle(driver, index)
    major, minor = compute_capability(driver, handle)
    return Gpu(device_name(driver, handle), f"sm_{major}{minor}", ".".join(map(str, driver.version)))


def find_gpu(index: int = 0) -> Gpu | None:
    """The device of this index, None where there is none that can be used."""
    try:
        return read_gpu(index)
    except EngineError:
        return None
