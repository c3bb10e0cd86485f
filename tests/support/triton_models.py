"""A real Triton server, and what tests ask of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import missing
import numpy as np
import pytest
from repository import ROOT

from yolact.runtime.detections import Detections
from yolact.runtime.errors import YolactError
from yolact.serving.engine_facts import read_engine
from yolact.serving.local_server import LocalServer, find_server
from yolact.serving.repository import write_repository
from yolact.serving.settings import Settings

ENVIRONMENT = ROOT / "build" / "triton"


def need_server() -> None:
    """The test that asks is skipped where there is no server."""
    pytest.importorskip("tritonclient.grpc", reason=missing.TRITON_CLIENT)
    try:
        find_server(ENVIRONMENT)
    except YolactError:
        pytest.skip(missing.TRITON)


class Server(LocalServer):
    """A server whose models are loaded by the tests."""

    def __init__(self, repository: Path, environment: Path = ENVIRONMENT) -> None:
        self.repository = repository
        # The server waits at its end for a model whose process a test has killed.
        options = ("--model-control-mode=explicit", "--exit-on-error=false", "--exit-timeout-secs=1")
        super().__init__(environment, repository, *options)

    def write(self, engine: Path, name: str, **settings: Any) -> None:
        write_repository(self.repository, read_engine(engine), Settings(name, **settings))

    def load(self, name: str) -> None:
        self.ask(f"v2/repository/models/{name}/load", b"{}")

    def unload(self, name: str) -> None:
        self.ask(f"v2/repository/models/{name}/unload", b"{}")

    def serve(self, engine: Path, name: str, **settings: Any) -> str:
        """Write and load a model; its address."""
        self.write(engine, name, **settings)
        self.load(name)
        return self.address(name)


def assert_same(found: Detections, expected: Detections) -> None:
    """Bit for bit, masks at image resolution included."""
    assert found.image_size == expected.image_size and found.class_names == expected.class_names
    for name in ("boxes", "scores", "class_ids", "mask_scores"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    assert found.rle() == expected.rle() and found.polygons() == expected.polygons()
    np.testing.assert_array_equal(found.masks, expected.masks)


def assert_all_same(found: Iterable[Detections], expected: Iterable[Detections]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)
