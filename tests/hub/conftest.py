"""A hub on loopback that the real client asks, with caches of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import Hub, serve
from made_once import MakeOnce

from yolact.runtime.config import ModelConfig


@pytest.fixture(scope="session")
def demo_checkpoint(make_once: MakeOnce) -> bytes:
    """A checkpoint of yolact_demo, whose configuration is read of its name."""

    def write(folder: Path) -> None:
        import torch
        from seeded import seeded_weights

        from yolact.training.models.configs import CONFIGS

        config: ModelConfig = CONFIGS["yolact_demo"]
        torch.save(seeded_weights(config), folder / "w.pth")

    return (make_once("demo-checkpoint", write) / "w.pth").read_bytes()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The server, which the client asks in this test, and empty caches."""
    from huggingface_hub import constants

    with serve(Hub()) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)  # the client reads the environment once
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("YOLACT_CACHE", str(tmp_path / "yolact"))
        yield hub
