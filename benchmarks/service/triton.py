"""Many clients on Triton and on the C service, beside the same work in one Python program.

The demonstration model runs on one picture of a bin, 640 x 480. 16 clients in another process send it as a file, each
with one request at a time, to Triton's python backend and to the C service. One program reads, detects and encodes it
in a loop, image by image and in batches. Lost and empty answers are counted; memory is that of the model's process.

The same is done with other files, such as a network of official size, whose time leaves less weight to all else.

    make triton
    python -m benchmarks.service.triton [--engine FILE ...] [--clients 16] [--requests 2000] [--json FILE]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.commands import json_option
from benchmarks.figures import write_figures
from benchmarks.images import BIN
from benchmarks.machine import describe_machine
from benchmarks.service import tables
from benchmarks.service.load import Load, Sent, build_service, put_load, resident_mb, running, send_by_threads
from benchmarks.service.overhead import DEMO_SIZE, export_engine
from yolact.cli.command import reports_errors
from yolact.runtime.capi.build import build
from yolact.runtime.config import DISPLAY_SCORE_THRESHOLD, DISPLAY_TOP_K
from yolact.runtime.errors import YolactError
from yolact.runtime.wording import count_noun
from yolact.serving.engine_facts import read_engine
from yolact.serving.local_server import LocalServer
from yolact.serving.repository import write_repository
from yolact.serving.settings import Settings

ENVIRONMENT = Path(__file__).resolve().parents[2] / "build" / "triton"
MODEL, BATCH = "yolact", 8
FEWER = 80
"""How many times fewer requests another file than the demonstration model gets."""

SERVICE_BATCH = ("--max-batch", str(BATCH))

IN_ONE_PROGRAM = """
import sys, time
from yolact.runtime.detector import Detector
detector, photo = Detector.open(sys.argv[1]), sys.argv[2]
batch, count = int(sys.argv[3]), int(sys.argv[4])
threshold, top_k = float(sys.argv[5]), int(sys.argv[6])
for runs in (2, count // batch):
    start = time.perf_counter()
    for _ in range(runs):
        for found in detector([photo] * batch, score_threshold=threshold, top_k=top_k):
            found.rle()
print(runs * batch / (time.perf_counter() - start))
"""
"""The Python program that does what a server does for each request, without one."""


def in_one_program(engine: Path, photo: Path, batch: int, count: int) -> dict[str, Any]:
    """Images a second in a loop."""
    wanted = [str(DISPLAY_SCORE_THRESHOLD), str(DISPLAY_TOP_K)]
    command = [sys.executable, "-c", IN_ONE_PROGRAM, str(engine), str(photo), str(batch), str(count), *wanted]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {"per_second": float(done.stdout)}


def send_to_triton(port: int, body: bytes, shares: list[int]) -> Sent:
    """Requests by gRPC, each client with a connection of its own; an answer without a detection counts as lost."""
    from tritonclient.grpc import InferenceServerClient, InferInput
    from tritonclient.utils import InferenceServerException

    data = np.empty((1, 1), np.object_)
    data[0, 0] = body
    image = InferInput("image", [1, 1], "BYTES")
    image.set_data_from_numpy(data)

    def client(share: int, times: list[float], lost: list[int]) -> None:
        with InferenceServerClient(f"127.0.0.1:{port}") as connection:
            for _ in range(share):
                start = time.perf_counter()
                try:
                    count = int(connection.infer(MODEL, [image]).as_numpy("num_detections")[0, 0])
                except InferenceServerException:
                    count = 0
                if count:
                    times.append((time.perf_counter() - start) * 1e3)
                else:
                    lost.append(count)

    return send_by_threads(client, shares)


def on_triton(folder: Path, engine: Path, body: bytes, clients: int, requests: int, instances: int) -> dict[str, Any]:
    """The load on the python backend, and the sizes of its batches; memory is that of one instance."""
    write_repository(folder, read_engine(engine), Settings(MODEL, max_batch=BATCH, instances=instances))
    with LocalServer(ENVIRONMENT, folder) as server:
        _wait_until_ready(server)
        stub = min(server.model_processes())
        put_load(server.grpc, stub, body, clients, 2 * clients, send_to_triton)
        before = server.batch_sizes(MODEL)
        load = put_load(server.grpc, stub, body, clients, clients * requests, send_to_triton)
        after = server.batch_sizes(MODEL)
        batches = {size: count - before.get(size, 0) for size, count in after.items()}
        return {**_summary(load), "mean_batch": _mean(batches), "server_mb": resident_mb(server.process.pid)}


def on_the_c_service(folder: Path, engine: Path, body: bytes, clients: int, requests: int) -> dict[str, Any]:
    """The same load on examples/c_service."""
    library = folder / "lib"
    build(library)
    program = build_service(folder / "service", library)
    with running(program, engine, *SERVICE_BATCH) as (port, pid):
        put_load(port, pid, body, clients, 2 * clients)
        return _summary(put_load(port, pid, body, clients, clients * requests))


def _summary(load: Load) -> dict[str, Any]:
    half = len(load.memory_mb) // 2
    return {
        **load.summary(),
        "requests": len(load.milliseconds) + load.lost,
        "largest_in_first_half_mb": max(load.memory_mb[: half + 1]),
        "largest_in_second_half_mb": max(load.memory_mb[half:]),
    }


def _mean(batches: dict[int, int]) -> float:
    return sum(size * count for size, count in batches.items()) / max(1, sum(batches.values()))


def _wait_until_ready(server: LocalServer) -> None:
    for _ in range(600):
        try:
            server.ask(f"v2/models/{MODEL}/ready")
            return
        except OSError:
            time.sleep(0.1)
    raise YolactError(f"the model did not become ready: {server.log[-300:]}")


def measure(folder: Path, engine: Path, clients: int, requests: int) -> dict[str, Any]:
    """The rows of one engine."""
    folder.mkdir()
    body = BIN.read_bytes()
    loop = min(clients * requests, 2000)
    rows = {f"one program, batches of {size}": in_one_program(engine, BIN, size, loop) for size in (1, 4, BATCH)}
    rows["C service"] = on_the_c_service(folder, engine, body, clients, requests)
    for instances in (1, 2):
        name = f"Triton, python backend, {count_noun(instances, 'instance')}"
        rows[name] = on_triton(folder / f"models{instances}", engine, body, clients, requests, instances)
    return {"requests": clients * requests, "rows": rows}


@click.command()
@click.option(
    "--engine",
    "engines",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"Another file to measure, with one request in {FEWER}.  [default: the demonstration model alone]",
)
@click.option("--clients", type=click.IntRange(1), default=16, show_default=True, help="Clients at the same time.")
@click.option("--requests", type=click.IntRange(8), default=2000, show_default=True, help="Requests of each client.")
@json_option
@reports_errors
def main(engines: tuple[Path, ...], clients: int, requests: int, json_path: Path | None) -> None:
    """Measure Triton and the C service under the same load, beside one Python program."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        demo = export_engine(folder, DEMO_SIZE)
        measured = {"demo model": measure(folder / "demo", demo, clients, requests)}
        for engine in engines:
            measured[engine.stem] = measure(folder / engine.stem, engine, clients, max(8, requests // FEWER))
    figures = {"machine": describe_machine(2, "tritonclient"), "clients": clients, "engines": measured}
    print(tables.triton(figures))
    write_figures(json_path, figures)


if __name__ == "__main__":
    main()
