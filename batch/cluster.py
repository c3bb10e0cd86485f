"""Starts Ray on this machine for one job, or connects to a running cluster, and shares it out among the workers."""

from __future__ import annotations

import atexit
import importlib.util
import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any, NamedTuple

from yolact.runtime.errors import UsageError, YolactError
from yolact.runtime.packages import PackageMissing
from yolact.runtime.wording import one_line

_STORE_BYTES = 100 << 20
"""Bytes of memory for the objects that processes pass to each other, which here are numbers of parts."""

_CORES_PER_WORKER = 2

_LONGEST_REASON = 300
"""Most characters of a message of Ray, which may be pages long."""

_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DATA_DISABLE_PROGRESS_BARS": "1", "RAY_BACKEND_LOG_LEVEL": "fatal"}
"""Environment of every job. It keeps Ray from reporting what people run."""


class Share(NamedTuple):
    """The share of each worker.

    Attributes:
        workers: number of workers.
        cores: CPU cores, as Ray counts them; less than 1 where more workers than cores were asked for.
        gpus: GPUs, counted likewise.
    """

    workers: int
    cores: float
    gpus: float

    @property
    def threads(self) -> int | None:
        """Threads of an engine on the CPU; None for one on a GPU."""
        return None if self.gpus else max(1, int(self.cores))


def check_packages() -> None:
    """Raise PackageMissing where Ray or a package its data sets need is not installed. Nothing is imported for this."""
    for package in ("pyarrow", "pandas", "ray"):
        try:
            is_there = importlib.util.find_spec(package) is not None
        except (ImportError, ValueError):  # it is kept from being imported
            is_there = False
        if not is_there:
            raise PackageMissing("yolact-batch", package, "ray")


@contextmanager
def running(address: str | None) -> Iterator[None]:
    """Connect to Ray: to the cluster at an address, or to one on this machine alone that ends with the block.

    Raises PackageMissing where Ray is not installed, YolactError where it does not start or answer.
    """
    folder = None if address is not None else tempfile.mkdtemp(prefix="ray-yolact-")
    if folder is not None:  # what did not start ends with this process, and writes until then
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    on_sigterm = signal.getsignal(signal.SIGTERM) if threading.current_thread() is threading.main_thread() else None
    for name, value in {**_QUIET, **({} if folder is None or "ray" in sys.modules else _alone())}.items():
        os.environ.setdefault(name, value)
    try:
        import ray

        options = {"address": address} if folder is None else _local_options(folder)
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        try:
            with _without_stderr():  # where its libraries say how they log
                ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **options)
        except Exception as error:  # of its own dozen kinds, of gRPC and of the system
            where = "does not start on this machine" if address is None else f"does not answer at {address}"
            raise YolactError(f"Ray {where}: {one_line(error)[:_LONGEST_REASON]}") from None
        if on_sigterm is not None:
            signal.signal(signal.SIGTERM, on_sigterm)  # Ray has put its own in the place
        with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):  # noqa: PTH123  no path
            yield  # what Ray tells of its processes would stand among the results
    finally:
        if "ray" in sys.modules:
            sys.modules["ray"].shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Let file descriptor 2 lead nowhere. Failures are exceptions all the same."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _alone() -> dict[str, str]:
    """Environment of a cluster on this machine alone: nobody can connect to it over the network, nor without its token,
    which is written to no file. Ray reads these variables when it is imported."""
    return {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # the name is history: it keeps Ray to the loopback interface
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }


def _local_options(folder: str) -> dict[str, Any]:
    return {
        "address": "local",
        "include_dashboard": False,
        "object_store_memory": _STORE_BYTES,
        "_temp_dir": folder,
        "_node_ip_address": "127.0.0.1",
    }


def share_out(workers: int | None, on_gpu: bool) -> Share:
    """The share of each worker in the connected cluster. Raises UsageError where there is no GPU for it."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    if on_gpu:
        return share_gpus([int(node.get("GPU", 0)) for node in nodes], workers)
    return share_cores([int(node.get("CPU", 0)) for node in nodes], workers)


def share_gpus(gpus: Sequence[int], workers: int | None) -> Share:
    """Share the GPUs of the machines among workers. Raises UsageError where there is none."""
    total = sum(gpus)
    if total < 1:
        raise UsageError("Ray has no GPU on its machines; give --device cpu and an ONNX file")
    workers = workers or total
    return Share(workers, 1, 1 / -(-workers // total))


def share_cores(cores: Sequence[int], workers: int | None) -> Share:
    """Share the cores of the machines among workers, so that each worker fits on a machine."""
    total = max(sum(cores), 1)
    workers = workers or max(1, sum(count // _CORES_PER_WORKER for count in cores))
    for each in range(total // workers, 0, -1):
        if sum(count // each for count in cores) >= workers:
            return Share(workers, each, 0)
    return Share(workers, 1 / -(-workers // total), 0)
