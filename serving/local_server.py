"""Starts a Triton server on this machine's loopback interface, from the wheel `nvidia-pytriton`.

The wheel has the real server with its python backend, and no other backend. `make triton` puts it into an environment
beside `.venv` with the last NumPy that this server takes.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from yolact.runtime.errors import YolactError
from yolact.runtime.json_text import from_json

_START_S, _END_S = 60.0, 20.0
_SERVER = "pytriton/tritonserver"
_HOST = "127.0.0.1"


class ServerMissing(YolactError):
    """There is no Triton server here, or none for this Python."""


def find_server(environment: Path) -> Path:
    """The folder `site-packages` of an environment that has the wheel. Raises ServerMissing."""
    found = next(iter(environment.glob("lib/python3.*/site-packages")), None)
    if found is None or not (found / _SERVER).is_dir():
        raise ServerMissing(f"there is no Triton server in {environment}; put it there with `make triton`")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if found.parent.name != f"python{version}" or not (found / _SERVER / "python_backend_stubs" / version).is_dir():
        raise ServerMissing(
            f"the Triton server in {environment} has no part for Python {version}; make the environment again"
        )
    if not _libpython().is_file():
        raise ServerMissing(f"Triton's python backend needs {_libpython()}; take a Python that was built with it")
    return found


class LocalServer:
    """A running server; leaving the context ends it.

    Attributes:
        http, grpc, metrics: its ports.
        process: the server itself, which starts a process for each model.
    """

    def __init__(self, environment: Path, repository: Path, *options: str) -> None:
        """Start it and wait until it answers; `options` are of `tritonserver`.

        Raises ServerMissing, and YolactError with its reason where it does not start.
        """
        packages = find_server(environment)
        self.http, self.grpc, self.metrics = _free_ports(3)
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="yolact-triton")))
            self._log = folder / "log"
            command = [str(packages / _SERVER / "bin/tritonserver"), f"--model-repository={repository}"]
            command += [f"--backend-directory={_backends(packages, folder)}", *self._ports(), *options]
            with self._log.open("wb") as log:
                self.process = subprocess.Popen(
                    command, env=_environment(environment, packages), stdout=log, stderr=subprocess.STDOUT
                )
            stack.callback(self._end)
            self._wait_until_it_answers()
            self._stack = stack.pop_all()

    @property
    def log(self) -> str:
        """What server and models have printed."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def ask(self, path: str, data: bytes | None = None) -> str:
        """The answer to an HTTP request, such as `v2/health/ready`; with data, it is a POST request. Raises OSError."""
        with urllib.request.urlopen(f"http://{_HOST}:{self.http}/{path}", data, timeout=60) as answer:
            return str(answer.read().decode())

    def batch_sizes(self, model: str) -> dict[int, int]:
        """How many batches of each size a model has run."""
        stats = from_json(self.ask(f"v2/models/{model}/stats"))["model_stats"]
        return {one["batch_size"]: one["compute_infer"]["count"] for version in stats for one in version["batch_stats"]}

    def model_processes(self) -> list[int]:
        """Process ids of the instances of models in the python backend, on Linux."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        children = [child for task in tasks for child in _read_now(task / "children").split()]
        return [int(child) for child in children if "stub" in _read_now(Path(f"/proc/{child}/cmdline"))]

    def address(self, model: str) -> str:
        """The address of a model, for `TritonDetector`."""
        return f"grpc://{_HOST}:{self.grpc}/{model}"

    def close(self) -> None:
        """End the server and its processes. Calling it again does nothing."""
        self._stack.close()

    def __enter__(self) -> LocalServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ports(self) -> list[str]:
        ports = {"http": self.http, "grpc": self.grpc, "metrics": self.metrics}
        places = [(f"--{kind}-address={_HOST}", f"--{kind}-port={port}") for kind, port in ports.items()]
        return [*(option for place in places for option in place), f"--exit-timeout-secs={_END_S / 2:.0f}"]

    def _wait_until_it_answers(self) -> None:
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                self.ask("v2/health/live")
                return
            except OSError:
                time.sleep(0.05)
        reasons = re.findall(r'^E\d.*?\] "?(.*?)"?\s*$', self.log, re.MULTILINE)
        raise YolactError(f"the Triton server did not start: {reasons[-1] if reasons else self.log[-300:]}")

    def _end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _read_now(path: Path) -> str:
    """The contents of a file of a thread or process; empty where the process has just ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _backends(packages: Path, folder: Path) -> Path:
    """A folder of backends as the server wants it: with the part for this Python beside the backend's library."""
    python = folder / "backends/python"
    python.mkdir(parents=True)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = packages / _SERVER / "python_backend_stubs" / version / "triton_python_backend_stub"
    for file in (*(packages / _SERVER / "backends/python").iterdir(), stub):
        (python / file.name).symlink_to(file)
    return folder / "backends"


def _libpython() -> Path:
    config = sysconfig.get_config_vars("LIBDIR", "INSTSONAME")
    return Path(*map(str, config))


def _environment(environment: Path, packages: Path) -> dict[str, str]:
    """Environment variables: one leads the server to its libraries and Python's, PATH to the environment's Python."""
    libraries = (packages / "nvidia_pytriton.libs", _libpython().parent)
    return os.environ | {
        "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
        "PATH": f"{environment / 'bin'}:{os.environ.get('PATH', '')}",
    }


def _free_ports(count: int) -> Sequence[int]:
    """Ports that nobody listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((_HOST, 0))
        return [one.getsockname()[1] for one in sockets]
