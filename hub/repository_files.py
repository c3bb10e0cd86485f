"""Finds the file of a repository that holds its weights, and checks whether a downloaded file is that one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from yolact.runtime.errors import YolactError
from yolact.runtime.file_digest import sha256_of
from yolact.runtime.model_names import Repository
from yolact.runtime.wording import list_some

WEIGHTS_SUFFIXES = (".pth", ".safetensors")
"""Suffixes of weights. Only files with the first of these suffixes that a repository has are considered."""

_NAME = re.compile(r"[\w.+ -]+(/[\w.+ -]+)*", re.ASCII)


class HubFile(NamedTuple):
    """A file as the hub lists it.

    Attributes:
        name: its path in the repository.
        size: in bytes, None where the hub does not say.
        digest: SHA-256 of its contents for a file in Git LFS, else the SHA-1 of Git's blob, hexadecimal.
    """

    name: str
    size: int | None
    digest: str


def choose_weights(names: Iterable[str], repository: Repository) -> str:
    """The only file that holds a repository's weights. Raises YolactError where there are none or several."""
    safe = sorted(name for name in names if _NAME.fullmatch(name) and ".." not in name.split("/"))
    if repository.file is not None:
        if repository.file in safe:
            return repository.file
        raise YolactError(f"{repository.id} has no file {repository.file}; it has {list_some(safe, 10) or 'none'}")
    for suffix in WEIGHTS_SUFFIXES:
        found = [name for name in safe if name.lower().endswith(suffix)]
        if len(found) > 1:
            example = repository._replace(file=found[0])
            raise YolactError(
                f"{repository} has {len(found)} files of weights: {list_some(found, 10)}; name one of them, such as "
                f"{example}"
            )
        if found:
            return found[0]
    raise YolactError(
        f"{repository} has no weights: expected a file that ends in {' or '.join(WEIGHTS_SUFFIXES)}, "
        f"found {list_some(safe, 5) or 'no file'}; check the name"
    )


def has_digest(path: Path, digest: str) -> bool:
    """Whether a file's contents have this SHA-256, or this SHA-1 of a Git blob."""
    if len(digest) == 64:
        return sha256_of(path) == digest
    counted = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            counted.update(chunk)
    return counted.hexdigest() == digest
