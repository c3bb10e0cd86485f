"""The C service under load: batches, a full queue and slow clients."""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier, Event

import cv2
import numpy as np
import pytest
from scripted_engine import write_engine
from service_process import Answer, Service
from waiting import wait_until


@pytest.fixture(scope="module")
def program(service_program: Path) -> Path:
    return service_program


@pytest.fixture(scope="module")
def bodies(photos: list[np.ndarray]) -> list[bytes]:
    """Images of different sizes, as files."""
    shapes = [(200, 150), (151, 222), (97, 64), (128, 300)]
    return [cv2.imencode(".png", photos[i % 3][:h, :w])[1].tobytes() for i, (h, w) in enumerate(shapes)]


def at_once(service: Service, bodies: list[bytes]) -> list[Answer]:
    """Answers to requests that are sent at the same time."""
    barrier = Barrier(len(bodies))

    def send(body: bytes) -> Answer:
        barrier.wait()
        return service.infer(body)

    with ThreadPoolExecutor(len(bodies)) as threads:
        return list(threads.map(send, bodies))


def test_batches_across_requests_change_no_answer(program: Path, tiny_engine: Path, bodies: list[bytes]) -> None:
    with Service(
        program, tiny_engine, "--max-batch", "4", "--score-threshold", "0", "--batch-wait-ms", "50"
    ) as service:
        alone = [service.infer(body).json["detections"] for body in bodies]
        assert service.metrics()["yolact_batch_images_sum"] == service.metrics()["yolact_batch_images_count"] == 4
        answers = at_once(service, bodies * 4)
        samples = service.metrics()
    assert all(len(found) > 3 for found in alone)
    for answer, expected in zip(answers, alone * 4, strict=True):
        found = answer.json["detections"]
        assert [one["class_id"] for one in found] == [one["class_id"] for one in expected]
        assert [one["score"] for one in found] == pytest.approx([one["score"] for one in expected], abs=2e-5)
    assert samples["yolact_batch_images_sum"] == 20
    assert samples["yolact_batch_images_count"] < 16
    assert samples['yolact_batch_images_bucket{le="4"}'] == samples["yolact_batch_images_count"]


def test_a_fixed_batch_limits_the_batches(program: Path, bodies: list[bytes], tmp_path: Path) -> None:
    engine = write_engine(tmp_path / "two.onnx", batch=2)
    with Service(program, engine, "--batch-wait-ms", "50") as service:
        assert all(answer.status == 200 for answer in at_once(service, bodies * 2))
        samples = service.metrics()
    assert samples['yolact_batch_images_bucket{le="2"}'] == samples["yolact_batch_images_count"] < 8


def test_a_full_queue_answers_503(program: Path, tiny_engine: Path, bodies: list[bytes]) -> None:
    with Service(program, tiny_engine, "--queue", "1", "--max-batch", "1") as service:
        answers = at_once(service, bodies[:1] * 16)
        samples = service.metrics()
        assert service.infer(bodies[0]).status == 200
    statuses = [answer.status for answer in answers]
    assert set(statuses) == {200, 503}
    refused = next(answer for answer in answers if answer.status == 503)
    assert refused.headers["Retry-After"] == "1" and "try later" in refused.json["error"]
    assert samples['yolact_requests_total{code="503"}'] == statuses.count(503)


def test_a_queue_that_filled_up_during_the_upload_answers_503(
    program: Path, tiny_engine: Path, bodies: list[bytes]
) -> None:
    """Each of these requests was told to go on, since there was room when its headers came."""
    head = f"POST /v1/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(bodies[0])}\r\nExpect: 100-continue\r\n\r\n"
    with Service(program, tiny_engine, "--queue", "1", "--max-batch", "1") as service, ExitStack() as opened:
        connections = [opened.enter_context(service.connect()) for _ in range(16)]
        for connection in connections:
            connection.sendall(head.encode())
            assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        for connection in connections:
            connection.sendall(bodies[0])
        answers = [http.client.HTTPResponse(connection) for connection in connections]
        for answer in answers:
            answer.begin()
    assert {answer.status for answer in answers} == {200, 503}


def test_requests_that_waited_too_long_get_503(program: Path, tiny_engine: Path, bodies: list[bytes]) -> None:
    with Service(program, tiny_engine, "--max-batch", "1", "--timeout", "0.2") as service:
        answers = at_once(service, bodies[:1] * 40)
    assert {answer.status for answer in answers} == {200, 503}
    assert any("queue took longer than 0.2 s" in answer.body.decode() for answer in answers)


def drip(connection: socket.socket, stop: Event) -> Iterator[bytes]:
    """What comes back while a byte is sent every 50 ms; ends when the service has closed the connection."""
    connection.settimeout(0.05)
    while not stop.is_set():
        try:
            connection.sendall(b"x")
        except OSError:
            return
        try:
            received = connection.recv(65536)
        except TimeoutError:
            continue
        except OSError:
            return
        if not received:
            return
        yield received


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"POST /v1/infer HTTP/1.1\r\nHost: x\r\nX-Filler: ",
        b"POST /v1/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n",
        b"POST /v1/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n",
    ],
)
def test_a_slow_client_is_closed_and_holds_nobody_up(program: Path, engine: Path, start: bytes) -> None:
    image = cv2.imencode(".png", np.full((20, 30, 3), 255, np.uint8))[1].tobytes()
    stop = Event()
    with Service(program, engine, "--timeout", "0.5", "--connections", "4") as service:
        with service.connect() as slow:
            slow.sendall(start)
            ended = ThreadPoolExecutor(1).submit(lambda: b"".join(drip(slow, stop)))
            assert service.infer(image).status == 200
            assert ended.result(timeout=60) == b""
        if b"Length" in start:
            # The client sees its connection end before the service has counted that.
            wait_until(lambda: service.metrics().get('yolact_requests_total{code="499"}') == 1)
        assert service.infer(image).status == 200


def test_connections_beyond_the_limit_wait_for_a_place(program: Path, engine: Path) -> None:
    image = cv2.imencode(".png", np.full((20, 30, 3), 255, np.uint8))[1].tobytes()
    with Service(program, engine, "--timeout", "1", "--connections", "2") as service:
        idle = [service.connect() for _ in range(4)]
        assert service.infer(image).status == 200
        for connection in idle:
            connection.close()


def test_a_log_that_nobody_reads_holds_nobody_up(program: Path, engine: Path) -> None:
    command = [str(program), "--engine", str(engine), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    port = int(process.stdout.readline().rsplit(b":", 1)[1])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(1500):  # lines of more than a pipe holds
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b"ok\n"
    connection.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    assert process.stdout.read().endswith(b'path="/healthz"\n')
    process.stdout.close()


def test_clients_that_leave_cost_nothing(program: Path, tiny_engine: Path, bodies: list[bytes]) -> None:
    head = f"POST /v1/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(bodies[0])}\r\n\r\n".encode()
    with Service(program, tiny_engine) as service:
        for sent in (head, head + bodies[0][:100], head + bodies[0]):
            for _ in range(3):
                with service.connect() as connection:
                    connection.sendall(sent)
        assert service.infer(bodies[0]).status == 200
