"""The real libraries of kernels and plugins, which nvcc takes long to compile: once for all tests of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_once import MakeOnce

from yolact.plugins.build import BuildFailed, build, find_tools

ARCH = "sm_86"
"""The only GPU that the libraries are compiled for; it is the one that plans in the tests are built for, too."""


def built_libraries(make_once: MakeOnce) -> Path:
    """The folder of the libraries. The test that asks is skipped where there are no nvcc and cmake."""
    try:
        tools = find_tools()
    except BuildFailed as error:
        pytest.skip(str(error))
    return make_once("libraries", lambda folder: build(ARCH, folder, tools))
