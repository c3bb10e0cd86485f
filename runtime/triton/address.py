"""The address of a served model: `grpc://host:8001/yolact`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from yolact.runtime.errors import UsageError
from yolact.runtime.fields import shown

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
"""Names that a folder and an address can have on every system."""

GRPC_PORT = 8001
"""Triton's default port for gRPC."""


@dataclass(frozen=True)
class TritonAddress:
    """A model on a Triton server.

    Attributes:
        host: name or number; one of IPv6 without brackets.
        port: of gRPC.
        model: the model's name.
        encrypted: whether the connection uses TLS.
    """

    host: str
    port: int
    model: str
    encrypted: bool = False

    def __str__(self) -> str:
        return f"{'grpcs' if self.encrypted else 'grpc'}://{self.server}/{self.model}"

    @property
    def server(self) -> str:
        """Host and port as they are written in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> TritonAddress:
        """From ``grpc://host[:port]/model``, ``grpcs`` with TLS. Raises UsageError for anything else."""
        try:
            url = urlsplit(text)
            port = url.port
        except ValueError:
            raise _wrong(text) from None
        model = url.path.removeprefix("/")
        if url.scheme not in ("grpc", "grpcs") or not url.hostname or _has_more(url):
            raise _wrong(text)
        if not MODEL_NAME.fullmatch(model):
            raise UsageError(f"{shown(text)}: expected the name of a model after the host, got {shown(model)}")
        return cls(url.hostname, GRPC_PORT if port is None else port, model, url.scheme == "grpcs")


def _has_more(url: SplitResult) -> bool:
    return bool(url.query or url.fragment or url.username is not None or url.password is not None)


def _wrong(text: str) -> UsageError:
    return UsageError(f"expected the address of a model like grpc://localhost:8001/yolact, got {shown(text)}")
