"""Names of models: names of files, and names of repositories, which may stand in their place."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from yolact.runtime.errors import UsageError
from yolact.runtime.wording import printable

CHECKPOINT_SUFFIXES = (".pth", ".pt", ".safetensors")
"""Names by which people know weights of PyTorch."""

_FILE_SUFFIXES = frozenset(
    (
        *(
            *CHECKPOINT_SUFFIXES,
            ".onnx",
            ".plan",
            ".engine",
            ".trt",
            ".json",
            ".bin",
            ".ckpt",
            ".pkl",
            ".npz",
            ".tflite",
        ),
        *(".tar", ".tgz", ".gz", ".zip", ".h5", ".txt", ".pb", ".weights", ".xml", ".param", ".caffemodel"),
    )
)
"""A name with one of these endings means a file, present or missing, and never a repository."""

_WORD = r"(?![-.])[A-Za-z0-9_.-]{1,96}(?<![-.])"
_NAME = re.compile(
    rf"(?P<owner>{_WORD})/(?P<name>{_WORD})(?:@(?P<revision>[A-Za-z0-9_.][\w./-]{{0,200}}))?"
    r"(?::(?P<file>[A-Za-z0-9_][\w. /+-]{0,200}))?",
    re.ASCII,
)

EXPECTED = "a file, or a Hugging Face repository as owner/name, owner/name@revision or owner/name:file.pth"


class Repository(NamedTuple):
    """A Hugging Face repository.

    Attributes:
        owner, name: its two names.
        revision: a branch, tag or commit; None for the main branch.
        file: which of its files, None for the only one that has weights.
    """

    owner: str
    name: str
    revision: str | None = None
    file: str | None = None

    @property
    def id(self) -> str:
        """``owner/name``."""
        return f"{self.owner}/{self.name}"

    def __str__(self) -> str:
        at = "" if self.revision is None else f"@{self.revision}"
        return f"{self.id}{at}" + ("" if self.file is None else f":{self.file}")


def parse_name(text: str) -> Repository | None:
    """The repository that a text names, None where it has another form; files are not looked at."""
    match = _NAME.fullmatch(text)
    if match is None or any(pair in part for part in match.groups() if part for pair in ("..", "//")):
        return None
    if "--" in match["owner"] + "/" + match["name"]:
        return None
    if match["name"].endswith(".git") or (match["file"] is None and Path(text).suffix.lower() in _FILE_SUFFIXES):
        return None
    return Repository(*match.groups())


def file_or_repository(text: str) -> Path | Repository:
    """The file, present or missing, or the repository that an argument means. A file that exists wins.

    Raises UsageError where it is a repository's name and a folder's as well, or is neither the name of a repository nor
    that of a file which could hold weights.
    """
    path = Path(text)
    try:
        is_folder, is_there = path.is_dir(), path.exists()
    except (OSError, ValueError):  # a name that is too long, or has a zero in it
        is_folder = is_there = False
    repository = parse_name(text)
    if is_folder and repository is not None:
        raise UsageError(
            f"{text} is a folder here, so it is not looked for on Hugging Face; name a file in it, or write "
            f"{repository.id}@main for the repository"
        )
    if is_there:
        return path
    if repository is not None:
        return repository
    if path.suffix.lower() in _FILE_SUFFIXES and printable(text) == text and "@" not in path.suffix:
        return path
    raise UsageError(f"there is no file {printable(text)!r}; expected {EXPECTED}")


def is_checkpoint(path: Path) -> bool:
    """Whether a file is called as weights are that have to be exported before they run."""
    return path.suffix.lower() in CHECKPOINT_SUFFIXES
