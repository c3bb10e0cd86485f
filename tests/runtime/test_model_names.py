"""Arguments that may name a file or a repository: which of them is meant, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolact.runtime.errors import UsageError
from yolact.runtime.model_names import Repository, file_or_repository, parse_name

REPOSITORIES = {
    "dbolya/yolact-resnet50": Repository("dbolya", "yolact-resnet50"),
    "dbolya/yolact-resnet50@v1.0": Repository("dbolya", "yolact-resnet50", "v1.0"),
    "a/b@refs/pr/3": Repository("a", "b", "refs/pr/3"),
    "a/b:x.pth": Repository("a", "b", None, "x.pth"),
    "a/b@main:sub/x-1.pth": Repository("a", "b", "main", "sub/x-1.pth"),
    "Some_One/Net.v2": Repository("Some_One", "Net.v2"),
}

NO_NAMES = (
    *("dbolya/", "/yolact", "a/b/c", "a//b", "a", "", " a/b", "a /b", "a/b ", "a/b\n", "a/b@", "a/b:", "a/b@:x.pth"),
    *("../b", "a/..", "a/b..c", "a--b/c", "a/.b", "-a/b", "a/b-", "a\\b", "a/b\\c", "a/\x1b[1m", "a/b\0", "ä/b"),
    *("a/b@../c", "a/b@-x", "a/b@x y", "a/b:../x.pth", "a/b:/x.pth", "a/b.git", f"a/{'b' * 97}"),
    *("https://huggingface.co/dbolya/yolact-base", "C:/weights/x", "a/b@c@d"),
)

FILES = ("x.pth", "weights/x.pth", "a/b/c.pth", "/no/such.onnx", "../x.safetensors", "weights/X.PTH", "a/b.pt")


@pytest.mark.parametrize("text", REPOSITORIES)
def test_names_of_repositories(text: str, here: Path) -> None:
    assert parse_name(text) == file_or_repository(text) == REPOSITORIES[text]
    assert str(REPOSITORIES[text]) == text


@pytest.mark.parametrize("text", NO_NAMES)
def test_what_is_no_name(text: str, here: Path) -> None:
    assert parse_name(text) is None
    if text not in ("", "a/..") and not text.endswith(".pth"):  # folders that are there, and files that are not
        with pytest.raises(
            UsageError, match=r"there is no file .*; expected a file, or a Hugging Face repository as own"
        ):
            file_or_repository(text)


@pytest.mark.parametrize("text", FILES)
def test_a_missing_file_stays_a_file(text: str, here: Path) -> None:
    assert file_or_repository(text) == Path(text)


def test_what_is_there_wins(here: Path) -> None:
    (here / "dbolya").mkdir()
    (here / "dbolya" / "net").write_bytes(b"weights")
    assert file_or_repository("dbolya/net") == Path("dbolya/net")
    (here / "dbolya" / "folder").mkdir()
    with pytest.raises(UsageError, match=r"dbolya/folder is a folder here, .* write dbolya/folder@main"):
        file_or_repository("dbolya/folder")
    assert file_or_repository("dbolya/folder@main") == Repository("dbolya", "folder", "main")
    assert file_or_repository("dbolya") == Path("dbolya")  # what reads it says that it is a folder
