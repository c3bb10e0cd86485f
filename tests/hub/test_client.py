"""Downloads by the real client from a hub on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import COMMIT, Hub

from yolact.hub.client import download_weights, find_downloaded
from yolact.runtime.errors import YolactError
from yolact.runtime.model_names import Repository, parse_name

NAME = Repository("some", "net")
DATA = bytes(range(256)) * 5000


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def stored(hub: Hub) -> Hub:
    hub.repositories["some/net"] = {"README.md": b"# net", "weights_1_2.pth": DATA}
    return hub


def blobs(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "hf").rglob("*") if path.is_file() and path.parent.name == "blobs"]


def test_the_one_checkpoint_is_taken_and_kept(stored: Hub, notes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_downloaded(NAME) is None
    path = download_weights(NAME, notes.append)
    assert path.name == "weights_1_2.pth" and path.read_bytes() == DATA
    assert notes == ["downloading weights_1_2.pth of some/net, 1.3 MB"]
    gets = [path for method, path, _ in stored.requests if method == "GET"]
    assert gets[-1] == f"/storage/some/net/{COMMIT}/weights_1_2.pth"  # where the redirect leads
    stored.requests.clear()
    assert download_weights(NAME, notes.append) == path and len(notes) == 1
    assert not [path for method, path, _ in stored.requests if "storage" in path and method == "GET"]
    stored.requests.clear()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert download_weights(NAME, notes.append) == path == find_downloaded(NAME) and len(notes) == 1
    assert not stored.requests


def test_a_broken_download_is_resumed(stored: Hub, notes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1 << 16)  # what is written at a time
    stored.break_after = 400_000
    assert download_weights(NAME, notes.append).read_bytes() == DATA
    ranges = [headers["range"] for method, _, headers in stored.requests if "range" in headers and method == "GET"]
    assert ranges and 0 < int(ranges[-1].removeprefix("bytes=").removesuffix("-")) <= 400_000


def test_a_revision(stored: Hub, notes: list[str]) -> None:
    stored.revisions["v1"] = "f" * 40
    stored.former["some/net", "f" * 40] = {"weights_0_1.pth": b"former"}
    former = download_weights(NAME._replace(revision="v1"), notes.append)
    assert (
        former.name == "weights_0_1.pth" and former.read_bytes() == b"former" and f"/{'f' * 40}/" in former.as_posix()
    )
    assert f"/{COMMIT}/" in download_weights(NAME, notes.append).as_posix()
    with pytest.raises(YolactError, match="some/net has no revision v2; leave out @ for its main branch"):
        download_weights(NAME._replace(revision="v2"), notes.append)


def test_a_file_outside_of_lfs(stored: Hub, notes: list[str], tmp_path: Path) -> None:
    stored.plain.add("weights_1_2.pth")
    assert download_weights(NAME, notes.append).read_bytes() == DATA
    for blob in blobs(tmp_path):
        blob.unlink()
    stored.sent_instead = DATA[::-1]
    with pytest.raises(YolactError, match="than those it lists, with the digest"):
        download_weights(NAME, notes.append)
    assert not blobs(tmp_path)


def test_other_contents_are_not_kept(stored: Hub, notes: list[str], tmp_path: Path) -> None:
    stored.sent_instead = DATA[::-1]
    with pytest.raises(
        YolactError, match=r"http://.* sent other contents for weights_1_2.pth of some/net than those it lists"
    ):
        download_weights(NAME, notes.append)
    assert not blobs(tmp_path) and find_downloaded(NAME) is None
    stored.sent_instead = None
    assert download_weights(NAME, notes.append).read_bytes() == DATA


def test_what_was_changed_in_the_cache(
    stored: Hub, notes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = download_weights(NAME, notes.append)
    path.write_bytes(b"other")
    assert download_weights(NAME, notes.append).read_bytes() == DATA
    assert "weights_1_2.pth in the cache was changed after its download; it is downloaded again" in notes
    path.write_bytes(b"other")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(YolactError, match="was changed after it was downloaded and is removed; download it again"):
        download_weights(NAME, notes.append)
    assert not blobs(tmp_path)
    with pytest.raises(YolactError, match="some/net was not downloaded before and HF_HUB_OFFLINE is set"):
        download_weights(NAME, notes.append)


def test_a_new_version_is_downloaded(stored: Hub, notes: list[str]) -> None:
    old = download_weights(NAME, notes.append)
    stored.revisions["main"] = "e" * 40
    stored.repositories["some/net"]["weights_1_2.pth"] = DATA[::-1]
    assert download_weights(NAME, notes.append).read_bytes() == DATA[::-1]
    assert old.read_bytes() == DATA


CHOICES = {
    "two": (
        {"a.pth": b"1", "b.pth": b"2"},
        "2 files of weights: a.pth, b.pth; name one of them, such as some/net:a.pth",
    ),
    "none": (
        {"README.md": b"1"},
        "some/net has no weights: expected a file that ends in .pth or .safetensors, found REA",
    ),
    "empty": ({}, "found no file; check the name"),
    "unsafe": ({"../a.pth": b"1", "/b.pth": b"2", "c\x1b.pth": b"3"}, "found no file"),
}


@pytest.mark.parametrize("case", CHOICES)
def test_repositories_without_the_one_file(case: str, hub: Hub, notes: list[str]) -> None:
    hub.repositories["some/net"], sentence = CHOICES[case]
    with pytest.raises(YolactError) as caught:
        download_weights(NAME, notes.append)
    assert sentence in str(caught.value) and not notes


def test_choosing(hub: Hub, notes: list[str]) -> None:
    hub.repositories["some/net"] = {"a.pth": b"1", "sub/b.pth": b"2"}
    named = parse_name("some/net:sub/b.pth")
    assert named is not None and download_weights(named, notes.append).read_bytes() == b"2"
    with pytest.raises(YolactError, match=r"some/net has no file c.pth; it has a.pth, sub/b.pth"):
        download_weights(NAME._replace(file="c.pth"), notes.append)
    hub.repositories["some/tensors"] = {"model.safetensors": b"3", "config.json": b"{}"}
    assert download_weights(Repository("some", "tensors"), notes.append).name == "model.safetensors"
    hub.repositories["some/both"] = {"model.safetensors": b"3", "w.pth": b"4"}
    assert download_weights(Repository("some", "both"), notes.append).name == "w.pth"


ANSWERS = {
    "gated": (403, "GatedRepo", "some/net is open only to those who accepted its terms"),
    "forbidden": (403, "", "refuses to hand out some/net (403); check the token in HF_TOKEN"),
    "no repository": (404, "RepoNotFound", "there is no file some/net here, and on http://127.0.0.1"),
    "not found": (404, "", "has no some/net (404); check the name and HF_ENDPOINT"),
    "too many": (429, "", "asks for fewer requests (429)"),
    "broken": (500, "", "answers 500 for some/net; try again later"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_answers_that_are_errors(case: str, stored: Hub, notes: list[str]) -> None:
    stored.status, stored.code, sentence = ANSWERS[case]
    with pytest.raises(YolactError) as caught:
        download_weights(NAME, notes.append)
    assert sentence in str(caught.value) and "\n" not in str(caught.value) and not notes


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b"{}", b"null", b'{"id": "some/net", "siblings": [{"a": 1}]}'])
def test_odd_answers(answer: bytes, stored: Hub, notes: list[str]) -> None:
    stored.listed = answer
    with pytest.raises(YolactError) as caught:
        download_weights(NAME, notes.append)
    assert "some/net" in str(caught.value) and "\n" not in str(caught.value)


def test_a_list_without_digests(stored: Hub, notes: list[str]) -> None:
    stored.listed = json.dumps({"id": "some/net", "sha": COMMIT, "siblings": [{"rfilename": "w.pth"}]}).encode()
    with pytest.raises(YolactError, match=r"states no digest of w.pth of some/net"):
        download_weights(NAME, notes.append)


def test_no_network(stored: Hub, notes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        YolactError, match=r"some/net cannot be downloaded from http://127.0.0.1:9 .*; check the network, HF_END"
    ):
        download_weights(NAME, notes.append)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", stored.address)
    path = download_weights(NAME, notes.append)
    stored.status = 503
    assert download_weights(NAME, notes.append) == path
    assert "answers 503 for some/net; weights_1_2.pth is taken from the cache" in notes[-1]


def test_a_cache_that_cannot_be_written(stored: Hub, notes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "/dev/null/hf")
    with pytest.raises(YolactError, match=r"some/net cannot be stored: /dev/null.*; free space, or set HF_HOME"):
        download_weights(NAME, notes.append)


def test_the_environment_is_the_clients(stored: Hub, tmp_path: Path) -> None:
    """Endpoint, token and cache are read by the client, here in a process that has not loaded it before."""
    program = "import sys; from yolact.hub.client import *; print(download_weights(Repository('some', 'net'), print))"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    own = {"HF_ENDPOINT": stored.address, "HF_TOKEN": "hf_secret", "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run([sys.executable, "-c", program], env=clean | own, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "home" / "hub") in done.stdout and "hf_secret" not in done.stdout + done.stderr
    sent = {path.partition("?")[0]: headers.get("authorization") for _, path, headers in stored.requests}
    assert (
        sent["/api/models/some/net"] == "Bearer hf_secret"
        and sent[f"/storage/some/net/{COMMIT}/weights_1_2.pth"] is None
    )
