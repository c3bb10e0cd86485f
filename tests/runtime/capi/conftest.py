"""Fixtures of the tests of the C API."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from made_once import MakeOnce

PROGRAM = Path("service", "yolact-service")
"""Of the service, in the folder that is made once."""


@pytest.fixture(scope="session")
def capi_folder(make_once: MakeOnce) -> Path:
    """The folder with libyolact.so, built for this environment."""
    from yolact.runtime.capi.build import BuildFailed, build

    try:
        return make_once("capi", build)
    except BuildFailed as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def sanitized_folder(capi_folder: Path, make_once: MakeOnce) -> Path:
    """The folder with a libyolact.so that checks every access to memory."""
    from service_process import SANITIZERS

    from yolact.runtime.capi.build import build

    def fill(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CFLAGS", f"-O1 {SANITIZERS}")
            build(folder)

    source = "int main(void) { return 0; }"
    command = ["cc", *SANITIZERS.split(), "-x", "c", "-", "-o", os.devnull]
    if subprocess.run(command, input=source, text=True, capture_output=True, check=False).returncode != 0:
        pytest.skip("this compiler has no AddressSanitizer -- apt-get install gcc")
    return make_once("sanitized-capi", fill)


@pytest.fixture(scope="session")
def service_program(capi_folder: Path, make_once: MakeOnce) -> Path:
    """examples/c_service, built for this environment."""
    from service_process import build_service

    return make_once("service", lambda folder: build_service(folder / "service", capi_folder)) / PROGRAM


@pytest.fixture(scope="session")
def sanitized_service(sanitized_folder: Path, make_once: MakeOnce) -> Path:
    """The service with every access to memory checked, in the library too."""
    from service_process import SANITIZERS, build_service

    def fill(folder: Path) -> None:
        build_service(folder / "service", sanitized_folder, SANITIZERS)

    return make_once("sanitized-service", fill) / PROGRAM


@pytest.fixture(scope="session")
def capi(capi_folder: Path) -> Any:
    """The library, loaded into this process, which runs Python already."""
    import capi_client

    return capi_client.load(capi_folder / "libyolact.so")
