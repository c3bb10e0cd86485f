"""Keeps compiled models for the next time, each in one file that names the versions that made it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from yolact.runtime.json_text import to_json
from yolact.runtime.partial_file import PartialFile


def read_kept(path: Path, made_by: Mapping[str, str]) -> bytes | None:
    """The compiled model in a file. None where there is none, another version made it, or it is damaged.

    OpenVINO itself compares no contents and would compute with damaged weights.
    """
    try:
        header, _, compiled = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return compiled if header == _header(made_by, compiled) else None


def keep(path: Path, made_by: Mapping[str, str], compiled: bytes) -> None:
    """Write a compiled model over one of another version. A failure is no error: the model is then compiled again the
    next time."""
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with PartialFile(path) as partial:
            partial.path.write_bytes(_header(made_by, compiled) + b"\n" + compiled)
            partial.commit()


def _header(made_by: Mapping[str, str], compiled: bytes) -> bytes:
    return to_json({**made_by, "sha256": hashlib.sha256(compiled).hexdigest()}).encode()
