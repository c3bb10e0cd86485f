"""The runner of CUDA kernels on a CPU (`host_kernels/`) computes as a GPU would and notices faults."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from host_kernel_build import HOST_CUDA, HOST_KERNELS, build_host_library
from numpy.typing import NDArray

LAUNCH_FAILURE, INVALID_VALUE, INVALID_CONFIGURATION = 719, 1, 9


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("samples") / "libsamples.so"
    return build_host_library(library, [HOST_CUDA, HOST_KERNELS / "sample_kernels.cpp"])


@pytest.fixture
def library(samples: Path) -> ctypes.CDLL:
    loaded = ctypes.CDLL(str(samples))
    loaded.host_cuda_schedule(0)
    return loaded


def address(array: NDArray[np.generic]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def rotated(library: ctypes.CDLL, wait: bool, seed: int) -> list[int]:
    library.host_cuda_schedule(seed)
    output = np.zeros(300, np.int32)
    assert library.sample_rotate(address(output), int(wait)) == 0
    return output.tolist()


def test_what_waits_does_not_depend_on_the_order(library: ctypes.CDLL) -> None:
    expected = [(i + 1) % 100 + 1 for i in range(100)] * 3
    assert all(rotated(library, True, seed) == expected for seed in range(5))


def test_what_forgets_to_wait_depends_on_the_order(library: ctypes.CDLL) -> None:
    results = {tuple(rotated(library, False, seed)) for seed in range(5)}
    assert len(results) == 5


@pytest.mark.parametrize("seed", range(4))
def test_warp_operations(library: ctypes.CDLL, seed: int) -> None:
    library.host_cuda_schedule(seed)
    values = np.random.default_rng(seed).integers(0, 1000, 64).astype(np.int32)
    output = np.empty((64, 7), np.int32)
    assert library.sample_warp(address(values), address(output)) == 0
    lanes = np.arange(64)
    warps = values.reshape(2, 32)
    np.testing.assert_array_equal(output[:, 0], values[lanes ^ 5])
    np.testing.assert_array_equal(output[:, 1], values[lanes // 8 * 8 + 3])
    np.testing.assert_array_equal(output[:, 2], values[np.where(lanes % 32 < 30, lanes + 2, lanes)])
    ballots = ((warps & 1).astype(np.uint64) << np.arange(32, dtype=np.uint64)).sum(axis=1).astype(np.uint32)
    np.testing.assert_array_equal(output[:, 3].view(np.uint32), ballots.repeat(32))
    np.testing.assert_array_equal(output[:, 4], (warps > 900).any(axis=1).repeat(32))
    np.testing.assert_array_equal(output[:, 5], (values > 990).any())
    np.testing.assert_array_equal(output[:, 6], (values & 1).sum())


def test_grids_and_blocks_of_three_dimensions(library: ctypes.CDLL) -> None:
    output = np.zeros(24 * 30, np.int32)
    assert library.sample_dimensions(address(output)) == 0
    np.testing.assert_array_equal(output.reshape(24, 30), np.arange(30) + 1000 * np.arange(24)[:, None])


@pytest.mark.parametrize("seed", range(3))
def test_a_barrier_that_some_threads_leave_out(library: ctypes.CDLL, capfd: pytest.CaptureFixture, seed: int) -> None:
    library.host_cuda_schedule(seed)
    assert library.sample_some_wait() == LAUNCH_FAILURE
    assert "not every thread reached a barrier" in capfd.readouterr().err
    assert rotated(library, True, seed)[:2] == [2, 3]  # and it goes on


def test_a_warp_operation_of_some_lanes(library: ctypes.CDLL, capfd: pytest.CaptureFixture) -> None:
    assert library.sample_some_lanes(address(np.empty(4, np.int32))) == LAUNCH_FAILURE
    assert "barrier" in capfd.readouterr().err


def test_launches_that_no_gpu_takes(library: ctypes.CDLL) -> None:
    output = np.zeros(1025, np.int32)
    assert library.sample_shared(address(output), 48 << 10, 1024) == 0
    assert library.sample_shared(address(output), (48 << 10) + 1, 1024) == INVALID_VALUE
    assert library.sample_shared(address(output), 0, 1025) == INVALID_CONFIGURATION
    assert library.sample_shared(address(output), 0, 0) == INVALID_CONFIGURATION


def test_shared_memory_starts_as_rubbish(library: ctypes.CDLL) -> None:
    output = np.zeros(64, np.int32)
    assert library.sample_shared(address(output), 64, 64) == 0
    assert set(output.tolist()) == {0xCD}


@pytest.mark.parametrize("call", ["sample_beyond(out)", "sample_unaligned(out, out)"])
def test_accesses_that_end_the_process(samples: Path, call: str) -> None:
    """Beyond shared memory, and of a vector that is not aligned."""
    code = f"import ctypes; out = ctypes.create_string_buffer(64); ctypes.CDLL({str(samples)!r}).{call}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode < 0 or "misaligned address" in done.stderr
