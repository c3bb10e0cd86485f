"""Fixtures of the tests of kernels and plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from yolact.runtime.errors import YolactError

if TYPE_CHECKING:
    from kernel_backends import Backend


@pytest.fixture(scope="session", params=["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def backend(request: pytest.FixtureRequest) -> Backend:
    """The CUDA kernels, on this CPU and on a GPU."""
    from kernel_backends import GpuBackend, HostBackend

    if request.param == "cpu":
        return HostBackend(request.getfixturevalue("host_kernels"))
    try:
        return GpuBackend()
    except YolactError as error:
        pytest.skip(str(error))
