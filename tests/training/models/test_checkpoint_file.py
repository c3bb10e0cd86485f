"""Checkpoints of strangers: no number in a file decides how much memory is taken, and nothing ends in a traceback."""

from __future__ import annotations

import io
import json
import os
import resource
import sys
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import missing
import pytest
import torch
from torch import Tensor, nn

from yolact.runtime.config import ModelConfig
from yolact.runtime.errors import CheckpointError, UsageError
from yolact.training.models.checkpoint_file import read_checkpoint_file
from yolact.training.models.checkpoints import config_beside, load_checkpoint, read_state_dict
from yolact.training.run_folder import RunFolder
from yolact.training.run_record import STATE_FILE
from yolact.training.settings import TrainSettings

HUGE = 300_000_000
MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def heads(classes: Tensor) -> dict[str, Tensor]:
    names = {"bbox": torch.zeros(12), "conf": classes, "mask": torch.zeros(96)}
    return {f"prediction_layers.0.{name}_layer.bias": values for name, values in names.items()}


def overlapping() -> Tensor:
    return torch.zeros(60_000).as_strided((30_000, 30_000), (1, 1))


def repacked(compression: int) -> Callable[[Path], None]:
    """A good checkpoint whose parts are packed anew."""

    return lambda path: packed(path, 1_000_000, compression)


def packed(path: Path, count: int, compression: int) -> None:
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(count)}, buffer)
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w", compression) as target:
        for part in source.infolist():
            target.writestr(part.filename, source.read(part))


def two_lists(path: Path) -> None:
    """A zip file with two lists of its parts: Python reads the one before the end, PyTorch the one whose place the end
    tells, and there the parts are compressed."""
    lists = []
    for count, compression in ((1_000_000, zipfile.ZIP_DEFLATED), (4, zipfile.ZIP_STORED)):
        packed(path, count, compression)
        data = path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            start = archive.start_dir
        lists.append((data[:start], data[start:-22], data[-22:]))
    (hidden, hidden_list, end), (shown, shown_list, _) = lists
    assert len(hidden_list) == len(shown_list)
    path.write_bytes(hidden + hidden_list + shown + shown_list + end)


def two_places(path: Path) -> None:
    """A zip file whose long end is not where the short one says."""
    torch.save({"a": torch.zeros(3)}, path)
    data = bytearray(path.read_bytes())
    data[-34:-26] = (len(data) - 99).to_bytes(8, "little")
    path.write_bytes(data)


def announces_more(path: Path) -> None:
    """The older format, whose storage says that it has four terabytes."""
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(3)}, buffer, _use_new_zipfile_serialization=False)
    data = buffer.getvalue()
    count = b"K\x03"  # pickle's small number, before the end of the storage's description
    assert data.count(b"K\x03Nt") == 1
    path.write_bytes(data.replace(count + b"Nt", b"\x8a\x06\x00\x00\x00\x00\x00\x01Nt"))


def nested(path: Path) -> None:
    content: Any = torch.zeros(1)
    for _ in range(200):
        content = {"a": content}
    torch.save(content, path)


def shared(path: Path) -> None:
    """Lists within each other, each of which holds the next one twice: as a tree, half a billion."""
    content: list[Any] = []
    for _ in range(29):
        content = [content, content]
    torch.save(content, path)


def far_memory(path: Path) -> None:
    """A pickle that asks for room for 2 ** 27 objects, and five more, as the older format has."""
    path.write_bytes(MAGIC + b"\x80\x02K\x01r\x00\x00\x00\x08." + b"\x80\x02K\x01." * 6)


def saved(content: Callable[[], Any], **options: Any) -> Callable[[Path], None]:
    return lambda path: torch.save(content(), path, **options)


def safetensors(path: Path, count: int) -> None:
    """A header of empty tensors."""
    header = {str(index): {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for index in range(count)}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)


def with_methods() -> dict[str, Tensor]:
    """A parameter and the dictionary around it have numbers where their methods would be."""
    parameter = nn.Parameter(torch.zeros(3))
    vars(parameter).update(numel=3, is_floating_point=3, detach=3)
    return {"a": parameter}


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "stride 0": (saved(lambda: heads(torch.zeros(1).expand(3 * HUGE))), r"repeats what is stored"),
    "stride 0, older": (
        saved(lambda: heads(torch.zeros(1).expand(3 * HUGE)), _use_new_zipfile_serialization=False),
        "repeats what is stored",
    ),
    "overlapping": (saved(lambda: {"a": overlapping()}), r"a repeats what is stored"),
    "many names of one": (
        saved(lambda: dict.fromkeys(map(str, range(2000)), torch.zeros(100_000))),
        "repeats what is stored",
    ),
    "many classes": (saved(lambda: heads(torch.zeros(3 * 200_001))), "for 200000 classes .*at most 100000"),
    "compressed": (repacked(zipfile.ZIP_DEFLATED), "has compressed parts"),
    "two lists": (two_lists, "is not a PyTorch checkpoint"),
    "two places": (two_places, "is not a PyTorch checkpoint"),
    "announces more": (announces_more, "announces 4398046511104"),
    "nested": (nested, "nested deeper than 32 levels|not a PyTorch checkpoint"),
    "shared": (shared, "holds no state dict"),
    "far memory": (far_memory, "not a PyTorch checkpoint"),
    "sparse": (saved(lambda: {"a": torch.zeros(4, 4).to_sparse()}), "a is a sparse_coo tensor"),
    "compressed rows": (saved(lambda: {"a": torch.eye(4).to_sparse_csr()}), "a is a sparse_csr tensor"),
    "meta": (saved(lambda: {"a": torch.zeros(HUGE, device="meta")}), r"a has no values \(device meta\)"),
    "quantised": (
        saved(lambda: {"a": torch.quantize_per_tensor(torch.zeros(4), 1, 0, torch.qint8)}),
        "a is a quantised tensor",
    ),
    "complex": (saved(lambda: {"a": torch.zeros(4, dtype=torch.complex64)}), "a is of type complex64"),
    "a long name of two lines": (
        saved(lambda: {"a\n\x1b[2J" * 100_000: torch.zeros(4, dtype=torch.complex64)}),
        r"a\\n\\x1b\[2Ja.{,400}\.\.\. is of type complex64",
    ),
    "a name of two lines": (saved(lambda: {"a\nb": torch.zeros(4)}), r"the first tensors are a\\nb;"),
    "many tensors": (lambda path: safetensors(path, 50_001), "has 50001 tensors, expected at most 50000"),
    "its own methods": (saved(with_methods), "has whole numbers|not a YOLACT checkpoint"),
    "float8": (saved(lambda: {"a": torch.zeros(4).to(torch.float8_e5m2)}), "a is of type float8_e5m2"),
    "wrapped": (
        saved(lambda: {"state_dict": {"a": torch.zeros(4, dtype=torch.complex64)}}),
        "state_dict.a is of type complex64",
    ),
    "a number": (saved(lambda: 3), "holds no state dict"),
    "half a zip": (lambda path: path.write_bytes(b"PK\x03\x04 and no more"), "is not a PyTorch checkpoint"),
    "half a pickle": (lambda path: path.write_bytes(b"\x80\x02\x8a\x0al\xfc"), "is not a PyTorch checkpoint"),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support|torch.quantize_per_tensor")
@pytest.mark.parametrize(("write", "pattern"), REFUSED.values(), ids=REFUSED)
def test_refused_without_taking_memory(write: Callable[[Path], None], pattern: str, tmp_path: Path) -> None:
    path = tmp_path / "stranger.pth"
    write(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match=pattern) as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    if sys.platform == "linux":
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000, missing.LINUX  # kB


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(CheckpointError, match="is no file, expected a checkpoint"):
        read_checkpoint_file(tmp_path / "pipe.pth")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "older"])
def test_what_torch_saves_is_read(tmp_path: Path, zipped: bool) -> None:
    tied = torch.randn(5, 3)
    content = {
        "plain": torch.randn(4),
        "parameter": nn.Parameter(torch.randn(2)),
        "transposed": tied.T,
        "tied": tied,
        "part": torch.arange(10.0)[3:5],
        "half": torch.zeros(2, dtype=torch.float16),
        "brain": torch.zeros(2, dtype=torch.bfloat16),
        "double": torch.zeros(2, dtype=torch.float64),
        "count": torch.tensor(7),
        "empty": torch.zeros(0),
        "bytes": torch.zeros(3, dtype=torch.uint8),
    }
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    found = read_state_dict(tmp_path / "a.pth")
    assert found.keys() == content.keys()
    assert all(torch.equal(found[name], content[name]) for name in content)


def beside(tmp_path: Path, content: bytes) -> Path:
    (tmp_path / "a.json").write_bytes(content)
    return tmp_path / "a.pth"


GOOD = ModelConfig("tiny", "mobilenet_v2", 160, ("person", "dog"), fpn_channels=64)


def with_values(**values: Any) -> bytes:
    return json.dumps(GOOD.to_json() | values).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b"\xff\xfe",
        b"null",
        b"[1, 2]",
        b'{"lr": 0.1}',
        b"1" * 5000,
        b'{"backbone": NaN, "class_names": 1}',
    ],
)
def test_json_of_others_beside_weights_is_passed_over(tmp_path: Path, content: bytes) -> None:
    assert config_beside(beside(tmp_path, content)) is None


DAMAGED = {
    "name": [1, "", "a/b", "..\\b", "a\nb", "\x1b[2J", "x" * 201],
    "backbone": ["vgg", None, ["resnet50"]],
    "image_size": [0, -1, True, 160.0, "160", 10**30, 8193],
    "class_names": ["dog", [], [1, 2], [["a"], "b"], {}, ["a\0", "b"], ["x" * 10_001, "b"]],
    "category_ids": [[1], [1, 1], [True, 2], [1.0, 2], ["1", 2], [1, 2**60], 5, {"a": 1}],
    "scales": [[], [[24]] * 4, [[24]] * 6, [[0]] * 5, [[-1]] * 5, [[24], [48], [96], [192], []], [24] * 5, [["a"]] * 5,
               [[True]] * 5, [[1e7]] * 5, "abcde", [[24] * 101] * 5, [[24], [48], [96], [192], [384, 1]]],
    "aspect_ratios": [[], [0], [-1], ["1"], [True], 1, None, [1e4]],
    "square_anchors": [1, "true", None],
    "deformable_interval": [-1, True, 1.5, 10**9],
    "mask_rescoring": [0, None],
    "num_coefficients": [0, True, 10**9, 32.0],
    "fpn_channels": [0, -4, 10**9],
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_json_of_ours_that_is_damaged_is_told(tmp_path: Path, name: str) -> None:
    for value in DAMAGED[name]:
        with pytest.raises(CheckpointError, match="beside it is damaged") as caught:
            config_beside(beside(tmp_path, with_values(**{name: value})))
        assert name in str(caught.value) and len(str(caught.value)) < 400 + len(str(tmp_path)), value
        with pytest.raises(UsageError):
            ModelConfig(**GOOD.to_json() | {name: value})


def test_half_a_surrogate_pair_is_no_class(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"class_names\[1\] must be text without NUL and without halves"):
        GOOD.with_classes(["dog", "\udc80"])
    assert config_beside(beside(tmp_path, with_values(class_names=["dog", "\udc80"]))) is None  # no text, so no JSON
    assert GOOD.with_classes(["a\nb", "c,d", "\x1b[2J"]).num_classes == 3  # they are escaped where they are shown


def test_missing_and_unknown_values(tmp_path: Path) -> None:
    values = GOOD.to_json()
    del values["scales"]
    for content, message in ((values, "has no 'scales'"), (GOOD.to_json() | {"colour": 1}, "'colour', which is none")):
        with pytest.raises(CheckpointError, match=message):
            config_beside(beside(tmp_path, json.dumps(content).encode()))


STATES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a list": lambda state: [state],
    "a tensor": lambda state: torch.zeros(3),
    **{f"no {name}": lambda state, name=name: {k: v for k, v in state.items() if k != name} for name in
       ("version", "config", "settings", "data", "iteration", "model", "optimizer", "scaler")},
    **{f"{name} is {value!r}": lambda state, name=name, value=value: state | {name: value} for name, value in (
        ("version", "1"), ("version", 2), ("iteration", -1), ("iteration", 1.5), ("iteration", True), ("model", 3),
        ("settings", [1]), ("settings", {"a": float("nan")}), ("settings", {1: torch.zeros(1)}), ("optimizer", None),
        ("config", {}), ("config", "x"), ("data", torch.zeros(1)))},
    "complex tensors": lambda state: state | {"model": {"a": torch.zeros(1, dtype=torch.complex64)}},
}  # fmt: skip


@pytest.mark.parametrize("change", STATES.values(), ids=STATES)
def test_a_state_that_lacks_parts_is_told(change: Callable[[dict[str, Any]], Any], tmp_path: Path) -> None:
    folder, settings = RunFolder(tmp_path), TrainSettings(10, (5,))
    parts = {"iteration": 3, "model": {}, "optimizer": {}, "scaler": {}}
    folder.save_state(parts, GOOD, settings, "scenes")
    assert folder.load_state(GOOD, settings, "scenes")["iteration"] == 3
    whole = {**parts, "version": 1, "config": GOOD.to_json(), "settings": asdict(settings), "data": "scenes"}
    torch.save(change(whole), tmp_path / STATE_FILE)
    with pytest.raises(CheckpointError, match=f"{STATE_FILE} is damaged"):
        folder.load_state(GOOD, settings, "scenes")


def test_a_state_beyond_the_end_of_its_run_is_told(tmp_path: Path) -> None:
    folder, settings = RunFolder(tmp_path), TrainSettings(10, (5,))
    for iteration in (10, 11):
        parts = {"iteration": iteration, "model": {}, "optimizer": {}, "scaler": {}}
        folder.save_state(parts, GOOD, settings, "scenes")
        if iteration == 10:
            assert folder.load_state(GOOD, settings, "scenes")["iteration"] == 10
    with pytest.raises(CheckpointError, match="it is at iteration 11 of 10"):
        folder.load_state(GOOD, settings, "scenes")


def test_content_is_handed_over_as_it_was_saved(tmp_path: Path) -> None:
    content = {"a": [1, "b", None, {"c": (torch.ones(2), 2.5)}]}
    torch.save(content, tmp_path / "a.pth")
    found = read_checkpoint_file(tmp_path / "a.pth")
    assert found["a"][:3] == [1, "b", None] and torch.equal(found["a"][3]["c"][0], torch.ones(2))
