"""Fixtures of the tests of the C API."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from made_once import MakeOnce


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
            patch.setenv("CFLAGS", SANITIZERS)
            build(folder)

    source = "int main(void) { return 0; }"
    command = ["cc", *SANITIZERS.split(), "-x", "c", "-", "-o", os.devnull]
    if subprocess.run(command, input=source, text=True, capture_output=True, check=False).returncode != 0:
        pytest.skip("this compiler has no AddressSanitizer -- apt-get install gcc")
    return make_once("sanitized-capi", fill)


@pytest.fixture(scope="session")
def capi(capi_folder: Path) -> Any:
    """The library, loaded into this process, which runs Python already."""
    import capi_client

    return capi_client.load(capi_folder / "libyolact.so")
