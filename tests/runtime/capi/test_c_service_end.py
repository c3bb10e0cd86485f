"""How the C service ends: signals, an end that loses no request, and what is answered meanwhile."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from threading import Thread

import cv2
import numpy as np
import pytest
from service_process import Service
from waiting import wait_until

IMAGE = cv2.imencode(".png", np.full((20, 30, 3), 255, np.uint8))[1].tobytes()
HEAD = f"POST /v1/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(IMAGE)}\r\n\r\n".encode()


@pytest.fixture(scope="module")
def program(service_program: Path) -> Path:
    return service_program


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
def test_terminating_answers_every_accepted_request(program: Path, engine: Path, limit: int) -> None:
    """Also those that wait for a place among the connections."""
    count = 24
    service = Service(program, engine, "--max-batch", "4", "--connections", str(limit), "--timeout", "60")
    clients = [Client(service, IMAGE) for _ in range(count)]
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


def under_way(service: Service) -> socket.socket:
    """A connection with a request of which a byte is missing."""
    connection = service.connect()
    connection.sendall(HEAD + IMAGE[:-1])
    wait_until(lambda: service.metrics()["yolact_connections"] >= 2)
    return connection


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_every_signal_drains_and_health_says_so(program: Path, engine: Path, number: int) -> None:
    """What comes while a request is under way is answered too; a SIGHUP on top changes nothing."""
    service = Service(program, engine, "--timeout", "60", "--connections", "2")
    with under_way(service) as connection:
        service.process.send_signal(number)
        wait_until(lambda: service.request("GET", "/healthz").status == 503)
        service.process.send_signal(signal.SIGHUP)
        for method in ("GET", "HEAD"):
            health = service.request(method, "/healthz")
            assert (health.status, health.headers["Connection"]) == (503, "close")
            assert health.headers["Retry-After"] == "1"
            assert health.body == (b"draining\n" if method == "GET" else b"")
        assert service.infer(IMAGE).status == 200
        assert service.request("GET", "/metrics").status == 200
        connection.sendall(IMAGE[-1:])
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == 200 and answer.read()
    assert service.end() == 0, service.errors
    with pytest.raises(OSError):
        service.connect()


def test_a_silent_connection_gets_time_for_a_request_on_its_way(program: Path, engine: Path) -> None:
    service = Service(program, engine, "--timeout", "60")
    with service.connect() as connection:
        wait_until(lambda: service.metrics()["yolact_connections"] >= 2)
        service.process.send_signal(signal.SIGTERM)
        wait_until(lambda: service.errors)
        time.sleep(0.2)
        connection.sendall(HEAD + IMAGE)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == 200 and answer.read()
    assert service.end() == 0, service.errors


def test_late_connections_do_not_hold_up_the_end(program: Path, engine: Path) -> None:
    """Health checks without an end: the service goes as soon as the request that it waits for is answered."""
    service = Service(program, engine, "--timeout", "60", "--drain-limit", "3600")
    with under_way(service) as connection:
        service.process.send_signal(signal.SIGTERM)
        wait_until(lambda: service.request("GET", "/healthz").status == 503)
        late = [Client(service, IMAGE) for _ in range(3)]
        for client in late:
            client.start()
        wait_until(lambda: all(client.statuses for client in late))
        connection.sendall(IMAGE[-1:])
        assert service.end() == 0, service.errors
    for client in late:
        client.join(timeout=60)
        assert set(client.statuses) == {200} and not client.lost


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_while_it_starts_ends_it(program: Path, tmp_path: Path, number: int) -> None:
    """The engine file is a pipe, which the service waits for."""
    os.mkfifo(tmp_path / "engine.onnx")
    command = [program, "--engine", tmp_path / "engine.onnx", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: blocks_signals(process.pid))
    process.send_signal(number)
    out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (128 + number, "")
    assert said == f"{signal.strsignal(number)}: ended before it served\n"


def blocks_signals(pid: int) -> bool:
    """Whether the process handles SIGTERM by now."""
    status = Path(f"/proc/{pid}/status").read_text()
    (blocked,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigBlk")]
    return bool(int(blocked, 16) >> (signal.SIGTERM - 1) & 1)


def test_a_service_under_nohup_outlives_its_terminal(program: Path, engine: Path) -> None:
    earlier = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does; the service inherits it
    try:
        service = Service(program, engine)
    finally:
        signal.signal(signal.SIGHUP, earlier)
    with service:
        for _ in range(2):
            service.process.send_signal(signal.SIGHUP)
            assert service.request("GET", "/healthz").body == b"ok\n"
    assert not any("Hangup" in line for line in service.errors)
