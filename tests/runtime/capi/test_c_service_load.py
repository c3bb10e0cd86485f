"""The C service under load: batches, a full queue, slow clients, and an end that loses no request."""

from __future__ import annotations

import http.client
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event, Thread

import cv2
import numpy as np
import pytest
from scripted_engine import write_engine
from service_process import Answer, Service, build_service
from waiting import wait_until


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, capi_folder: Path) -> Path:
    return build_service(tmp_path_factory.mktemp("service") / "service", capi_folder)


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
        b"POST /v1/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n",
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
            assert service.metrics()['yolact_requests_total{code="499"}'] == 1
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


def test_it_starts_from_any_folder(program: Path, capi_folder: Path, tmp_path: Path) -> None:
    """Also where make was given the library's folder as it is from the sources, which is the default."""
    shutil.copytree(program.parent, tmp_path / "service", ignore=shutil.ignore_patterns("yolact-service"))
    (tmp_path / "lib").symlink_to(capi_folder)
    subprocess.run(["make", "-C", "service", "YOLACT=../lib"], cwd=tmp_path, check=True, capture_output=True)
    command = [tmp_path / "service" / "yolact-service", "--help"]
    done = subprocess.run(command, cwd="/", check=True, capture_output=True, text=True)
    assert done.stdout.startswith("usage: yolact-service")


def test_clients_that_leave_cost_nothing(program: Path, tiny_engine: Path, bodies: list[bytes]) -> None:
    head = f"POST /v1/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(bodies[0])}\r\n\r\n".encode()
    with Service(program, tiny_engine) as service:
        for sent in (head, head + bodies[0][:100], head + bodies[0]):
            for _ in range(3):
                with service.connect() as connection:
                    connection.sendall(sent)
        assert service.infer(bodies[0]).status == 200


class Client(Thread):
    """Sends one request after the other over one connection, until the service closes that and takes no other."""

    def __init__(self, service: Service, body: bytes) -> None:
        super().__init__()
        self.service, self.body = service, body
        self.statuses: list[int] = []
        self.lost: list[str] = []

    def run(self) -> None:
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=60)
            try:
                connection.connect()
            except OSError:
                return
            try:
                while connection.sock is not None:
                    connection.request("POST", "/v1/infer", self.body)
                    response = connection.getresponse()
                    response.read()
                    self.statuses.append(response.status)
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
            connection.close()


@pytest.mark.parametrize("limit", [256, 4])
def test_terminating_answers_every_accepted_request(
    program: Path, engine: Path, bodies: list[bytes], limit: int
) -> None:
    """Also those that wait for a place among the connections."""
    count = 24
    service = Service(program, engine, "--max-batch", "4", "--connections", str(limit), "--timeout", "60")
    clients = [Client(service, bodies[0]) for _ in range(count)]
    for client in clients:
        client.start()
    wait_until(lambda: sum(len(client.statuses) for client in clients) >= 3 * min(count, limit))
    service.process.send_signal(signal.SIGTERM)
    for client in clients:
        client.join(timeout=120)
    assert service.end() == 0, service.errors
    assert [client.lost for client in clients] == [[]] * count
    statuses = [status for client in clients for status in client.statuses]
    assert set(statuses) == {200}
    assert len([line for line in service.log if "status=200" in line]) == len(statuses)


def test_connections_that_stay_are_cut_off_at_the_limit(program: Path, engine: Path) -> None:
    service = Service(program, engine, "--drain-limit", "0.3", "--timeout", "60")
    with service.connect() as connection:
        connection.sendall(b"POST /v1/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nx")
        wait_until(lambda: service.metrics()["yolact_connections"] >= 2)
        service.process.send_signal(signal.SIGTERM)
        assert service.end() == 1
    assert "1 connections were cut off after 0.3 s" in "".join(service.errors)


def test_a_second_signal_ends_at_once(program: Path, engine: Path) -> None:
    service = Service(program, engine, "--drain-limit", "3600", "--timeout", "3600")
    with service.connect() as connection:
        connection.sendall(b"POST /v1/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nx")
        wait_until(lambda: service.metrics()["yolact_connections"] >= 2)
        service.process.send_signal(signal.SIGTERM)
        wait_until(lambda: service.errors)
        service.process.send_signal(signal.SIGTERM)
        assert service.end() == 143
