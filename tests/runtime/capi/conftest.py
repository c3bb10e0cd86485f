"""Fixtures of the tests of the C API."""

from __future__ import annotations

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
def capi(capi_folder: Path) -> Any:
    """The library, loaded into this process, which runs Python already."""
    import capi_client

    return capi_client.load(capi_folder / "libyolact.so")
