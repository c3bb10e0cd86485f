"""examples/c_service: built for the tests, started as a process, and spoken to over sockets."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any

import missing
import pytest

from benchmarks.service import load as service_load

SANITIZERS = "-g -Werror -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"

SUPPRESSIONS = "leak:libpython\nleak:site-packages\nleak:libcrypto\n"
"""Python is never ended, so what it, its packages and the OpenSSL behind its `ssl` hold at the end looks leaked to the
sanitizer."""


def need_libmicrohttpd() -> None:
    """The test that asks is skipped where its headers are missing."""
    if shutil.which("pkg-config") is None:
        pytest.skip(missing.program("pkg-config"))
    if subprocess.run(["pkg-config", "--exists", "libmicrohttpd"], check=False).returncode != 0:
        pytest.skip("libmicrohttpd is not installed -- apt-get install libmicrohttpd-dev")


def need_build_tools() -> None:
    """The test that asks is skipped where the service cannot be built."""
    for tool in ("make", "cc"):
        if shutil.which(tool) is None:
            pytest.skip(missing.program(tool))
    need_libmicrohttpd()


def build_service(folder: Path, capi_folder: Path, cflags: str = "-O2 -Werror") -> Path:
    """The program; skips where it cannot be built."""
    need_build_tools()
    return service_load.build_service(folder, capi_folder, cflags)


@dataclass
class Answer:
    """Status, headers and body of a response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Service:
    """A running service; leaving the context terminates it and demands that it ended well."""

    def __init__(self, program: Path, engine: Path, *options: str) -> None:
        (program.parent / "lsan.supp").write_text(SUPPRESSIONS)
        environment = os.environ | {"LSAN_OPTIONS": f"suppressions={program.parent / 'lsan.supp'}:print_suppressions=0"}
        self.process = subprocess.Popen(
            [str(program), "--engine", str(engine), "--port", "0", "--threads", "1", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self.process.stdout is not None and self.process.stderr is not None
        first = self.process.stdout.readline()
        if not first:
            raise AssertionError(f"the service did not start: {self.process.communicate()[1]}")
        self.port = int(first.rsplit(":", 1)[1])
        self.log: list[str] = []
        self.errors: list[str] = []
        self._readers = [
            Thread(target=self.log.extend, args=(self.process.stdout,)),
            Thread(target=self.errors.extend, args=(self.process.stderr,)),
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Service:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM if kind is None else signal.SIGKILL)
        code = self.end()
        if kind is None:
            assert code == 0, "".join(self.errors)

    def end(self) -> int:
        """Wait for the process, with all it has printed; its exit code."""
        code = self.process.wait(timeout=120)
        for reader in self._readers:
            reader.join()
        return code

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def infer(self, body: bytes, **headers: str) -> Answer:
        return self.request("POST", "/v1/infer", body, {k.replace("_", "-"): v for k, v in headers.items()})

    def metrics(self) -> dict[str, float]:
        """Samples by name with labels; every line must be one, or a comment."""
        text = self.request("GET", "/metrics").body.decode()
        samples = {}
        for line in text.splitlines():
            if not line.startswith("# "):
                match = re.fullmatch(r'([a-z_]+(?:\{[a-z]+="[^"]*"\})?) ([0-9.e+-]+)', line)
                assert match, line
                samples[match[1]] = float(match[2])
        return samples
