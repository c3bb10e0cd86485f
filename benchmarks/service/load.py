"""Load on a running examples/c_service: counts, latencies, memory."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from yolact.runtime.errors import YolactError

SOURCES = Path(__file__).resolve().parents[2] / "examples" / "c_service"

CONNECTIONS = (1, 4, 16)


class Failed(YolactError):
    """The service does not build or start."""


def build_service(folder: Path, library: Path, cflags: str = "-O2") -> Path:
    """The service's program, built in a copy of its sources by the command of its README. Raises Failed."""
    shutil.copytree(SOURCES, folder, ignore=shutil.ignore_patterns("yolact-service"))
    command = ["make", "-C", str(folder), f"YOLACT={library}", f"CFLAGS={cflags}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"the service does not build; install libmicrohttpd-dev\n{done.stderr}")
    return folder / "yolact-service"


@contextmanager
def running(program: Path, engine: Path, *options: str) -> Iterator[tuple[int, int]]:
    """Port and process id of a running service, which is terminated at the end. Raises Failed if it ends badly."""
    command = [str(program), "--engine", str(engine), "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first = process.stdout.readline()
    if not first:
        raise Failed("the service did not start")
    drain = Thread(target=lambda: [None for _ in process.stdout or ()])
    drain.start()
    try:
        yield int(first.rsplit(":", 1)[1]), process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
        drain.join()
    if code != 0:
        raise Failed(f"the service ended with {code}")


@dataclass
class Load:
    """The outcome of a number of requests.

    Attributes:
        milliseconds: of each answered request, as the client sees them.
        lost: requests answered with another status than 200, or not at all.
        seconds: from the first to the last.
        memory_mb: resident memory of the service after each tenth of the requests.
    """

    milliseconds: list[float]
    lost: int
    seconds: float
    memory_mb: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        """Percentiles in ms, requests a second, and the number of lost requests."""
        p50, p99 = np.percentile(self.milliseconds, [50, 99])
        per_second = len(self.milliseconds) / self.seconds
        return {"p50_ms": p50, "p99_ms": p99, "per_second": per_second, "lost": self.lost}


Sent = tuple[list[float], int, float]
"""Milliseconds of each answered request, the number of lost ones, and the seconds that all took."""


def put_load(
    port: int,
    pid: int,
    body: bytes,
    connections: int,
    requests: int,
    send: Callable[[int, bytes, list[int]], Sent] | None = None,
) -> Load:
    """Send `requests` over `connections` that are kept open, each with one request at a time, from another process.

    `send` sends a number of requests for each client there; by default to the C service.
    """
    context = get_context("spawn")
    shares = [requests // connections + (i < requests % connections) for i in range(connections)]
    with context.Pool(1) as pool:
        answer = pool.apply_async(send or _send_all, (port, body, shares))
        memory = []
        while not answer.ready():
            memory.append(resident_mb(pid))
            answer.wait(1)
        times, lost, seconds = answer.get()
    return Load(times, lost, seconds, [*memory, resident_mb(pid)])


def measure_loads(program: Path, engine: Path, body: bytes, requests: int) -> list[dict[str, float]]:
    """Rows of load for each largest batch and number of connections."""
    rows = []
    for max_batch in (1, 8):
        for connections in CONNECTIONS:
            with running(program, engine, "--max-batch", str(max_batch)) as (port, pid):
                put_load(port, pid, body, connections, 2 * connections)
                load = put_load(port, pid, body, connections, requests)
            rows.append({"max_batch": max_batch, "connections": connections, **load.summary()})
    return rows


def measure_processes(program: Path, engine: Path, body: bytes, requests: int) -> list[dict[str, float]]:
    """Rows of the same load on one process with two threads, and on two processes with one thread each."""
    rows = []
    for processes in (1, 2):
        threads, connections = 2 // processes, CONNECTIONS[-1] // processes

        def put(place: tuple[int, int], count: int, connections: int = connections) -> Load:
            return put_load(*place, body, connections, count)

        options = ("--max-batch", "8", "--threads", str(threads))
        with ExitStack() as stack, ThreadPoolExecutor(processes) as pool:
            places = [stack.enter_context(running(program, engine, *options)) for _ in range(processes)]
            list(pool.map(put, places, [2 * connections] * processes))
            loads = list(pool.map(put, places, [requests // processes] * processes))
        whole = Load(
            [ms for load in loads for ms in load.milliseconds],
            sum(load.lost for load in loads),
            max(load.seconds for load in loads),
        )
        rows.append({"processes": processes, "threads": threads, **whole.summary()})
    return rows


def measure_memory(program: Path, engine: Path, body: bytes, requests: int) -> dict[str, Any]:
    """The service's resident memory over many requests."""
    with running(program, engine) as (port, pid):
        warm_up = put_load(port, pid, body, 16, max(16, requests // 10))
        load = put_load(port, pid, body, 16, requests)
    return {
        "requests": requests,
        "after_a_tenth_mb": warm_up.memory_mb[-1],
        "largest_in_first_half_mb": max(load.memory_mb[: len(load.memory_mb) // 2 + 1]),
        "largest_in_second_half_mb": max(load.memory_mb[len(load.memory_mb) // 2 :]),
        **load.summary(),
    }


def send_by_threads(client: Callable[[int, list[float], list[int]], None], shares: list[int]) -> Sent:
    """Run a client in a thread for each share of the requests; it appends times in ms and numbers of lost requests."""
    times: list[float] = []
    lost: list[int] = []
    threads = [Thread(target=client, args=(share, times, lost)) for share in shares]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, len(lost), time.perf_counter() - start


def _send_all(port: int, body: bytes, shares: list[int]) -> Sent:
    def client(share: int, times: list[float], lost: list[int]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        for _ in range(share):
            start = time.perf_counter()
            try:
                connection.request("POST", "/v1/infer", body)
                response = connection.getresponse()
                response.read()
                status = response.status
            except (OSError, http.client.HTTPException):
                connection.close()
                status = 0
            if status == 200:
                times.append((time.perf_counter() - start) * 1e3)
            else:
                lost.append(status)

    return send_by_threads(client, shares)


def resident_mb(pid: int) -> float:
    """The resident memory of a process in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
