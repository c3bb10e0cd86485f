"""External data of a stranger's ONNX file is refused at every door, before anything follows it."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import AttributeProto, TensorProto, helper, numpy_helper

import yolact.cli.main
from yolact.runtime.detector import Detector
from yolact.runtime.engine_files import read_metadata
from yolact.runtime.errors import EngineError
from yolact.runtime.onnx import external_data
from yolact.runtime.onnx.exported_model import read_exported_model
from yolact.runtime.onnx.external_data import refuse_external_data

REFUSED = "keeps weights in other files"


def external(location: str = "../../etc/passwd") -> TensorProto:
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "stolen")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def in_initializer(proto: onnx.ModelProto) -> None:
    proto.graph.initializer.append(external())


def in_constant(proto: onnx.ModelProto) -> None:
    proto.graph.node.append(helper.make_node("Constant", [], ["c"], value=external()))


def in_tensors(proto: onnx.ModelProto) -> None:
    node = proto.graph.node.add(op_type="Any", output=["c"])
    node.attribute.add(name="a", type=AttributeProto.TENSORS).tensors.append(external())


def in_subgraph(proto: onnx.ModelProto) -> None:
    branch = helper.make_graph([], "branch", [], [], [external()])
    inner = helper.make_graph([helper.make_node("If", ["x"], ["y"], then_branch=branch)], "inner", [], [])
    proto.graph.node.append(helper.make_node("Loop", [], ["z"], body=inner))


def in_graphs(proto: onnx.ModelProto) -> None:
    node = proto.graph.node.add(op_type="Any", output=["c"])
    node.attribute.add(name="a", type=AttributeProto.GRAPHS).graphs.append(
        helper.make_graph([], "g", [], [], [external()])
    )


def in_function(proto: onnx.ModelProto) -> None:
    proto.functions[0].node.append(helper.make_node("Constant", [], ["c"], value=external()))


def in_default_of_function(proto: onnx.ModelProto) -> None:
    proto.functions[0].attribute_proto.append(helper.make_attribute("a", external()))


def in_sparse_initializer(proto: onnx.ModelProto) -> None:
    proto.graph.sparse_initializer.add().values.CopyFrom(external())


def in_sparse_indices(proto: onnx.ModelProto) -> None:
    node = proto.graph.node.add(op_type="Constant", output=["c"])
    sparse = node.attribute.add(name="sparse_value", type=AttributeProto.SPARSE_TENSOR).sparse_tensor
    sparse.indices.CopyFrom(external())


def in_sparse_tensors(proto: onnx.ModelProto) -> None:
    node = proto.graph.node.add(op_type="Any", output=["c"])
    node.attribute.add(name="a", type=AttributeProto.SPARSE_TENSORS).sparse_tensors.add().values.CopyFrom(external())


def in_training(proto: onnx.ModelProto) -> None:
    proto.training_info.add().algorithm.initializer.append(external())


def without_its_flag(proto: onnx.ModelProto) -> None:
    tensor = external()
    tensor.ClearField("data_location")
    proto.graph.initializer.append(tensor)


PLACES = (
    in_initializer,
    in_constant,
    in_tensors,
    in_subgraph,
    in_graphs,
    in_function,
    in_default_of_function,
    in_sparse_initializer,
    in_sparse_indices,
    in_sparse_tensors,
    in_training,
    without_its_flag,
)


@pytest.fixture(scope="module")
def exported(tiny_engine: Path) -> bytes:
    return tiny_engine.read_bytes()


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_external_data_is_found_wherever_a_tensor_can_be(
    place: Callable[[onnx.ModelProto], None], exported: bytes, here: Path
) -> None:
    proto = onnx.ModelProto.FromString(exported)
    place(proto)
    path = here / "stranger.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(EngineError, match=REFUSED):
        Detector.open(path)
    for read in (read_exported_model, read_metadata):
        with pytest.raises(EngineError, match=REFUSED):
            read(path)


COMMANDS = {
    "infer": (["infer"], ["{photo}"]),
    "bench": (["bench", "--duration", "0.1"], []),
    "explain": (["explain", "--output", "e.png"], ["{photo}"]),
    "build": (["build", "--gpu-arch", "sm_86"], []),
    "diff": (["diff", "--reference", "{good}", "--report", "r.html"], []),
    "sensitivity": (["sensitivity", "--calib-data", "photos"], []),
    "doctor": (["doctor"], []),
}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(yolact.cli.main.main, arguments)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_refuses_it(name: str, exported: bytes, tiny_engine: Path, here: Path) -> None:
    from scripted_engine import write_photo

    proto = onnx.ModelProto.FromString(exported)
    in_initializer(proto)
    (here / "stranger.onnx").write_bytes(proto.SerializeToString())
    photo = write_photo(here / "photos" / "photo.png")
    before, after = COMMANDS[name]
    fill = {"photo": str(photo), "good": str(tiny_engine)}
    result = run(*(word.format(**fill) for word in [*before, "--engine", "stranger.onnx", *after]))
    assert result.exit_code in (1, 4) and REFUSED in result.output, result.output
    assert isinstance(result.exception, SystemExit)
    assert {path.name for path in here.iterdir()} <= {"stranger.onnx", "photos", "yolact-output"}


def refused(data: bytes) -> bool:
    try:
        refuse_external_data(io.BytesIO(data), "a file")
    except EngineError as error:
        return REFUSED in str(error)
    return False


def test_our_files_pass_and_so_does_the_word(exported: bytes) -> None:
    assert not refused(exported)
    proto = onnx.ModelProto.FromString(exported)
    proto.graph.node.add(op_type="Identity", name="location", input=["locations"], output=["location"])
    assert not refused(proto.SerializeToString())


@pytest.mark.parametrize("length", [b"\x08", b"\x88\x00", b"\x88\x80\x80\x80\x00"])
@pytest.mark.parametrize("after", [b"", b"s"])
def test_a_key_that_is_written_oddly(length: bytes, after: bytes) -> None:
    """protobuf takes lengths with needless zeros; a value before the key leaves any byte after it."""
    entry = b"\x12\x01x\x0a" + length + b"location"
    tensor = b"\x6a" + bytes([len(entry)]) + entry + (b"\x73\x74" if after else b"")  # 0x73 begins a group
    graph = b"\x2a" + bytes([len(tensor)]) + tensor
    assert refused(b"\x3a" + bytes([len(graph)]) + graph)


@pytest.mark.parametrize("cut", range(1, 10))
def test_the_word_across_two_reads(cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = onnx.ModelProto()
    model.graph.initializer.append(external())
    data = model.SerializeToString()
    monkeypatch.setattr(external_data, "_CHUNK", data.index(b"location") + cut - 1)
    assert refused(data)


NO_MODEL = {
    "a tag alone": b"\x3a",
    "a length beyond the end": b"\x3a\x7f\x0a",
    "a group": b"\x3b\x3c",
    "an endless number": b"\x08" + b"\xff" * 12,
    "a double cut short": b"\x09" + struct.pack("<f", 1),
}


@pytest.mark.parametrize("start", NO_MODEL.values(), ids=NO_MODEL)
def test_what_is_no_model_is_said_to_be_none(start: bytes) -> None:
    with pytest.raises(EngineError, match="no ONNX file, or a damaged one"):
        refuse_external_data(io.BytesIO(start + b"\x08location"), "a file")


def test_a_file_of_countless_fields_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_data, "MAX_FIELDS", 1000)
    with pytest.raises(EngineError, match="no ONNX file"):
        refuse_external_data(io.BytesIO(b"\x0a\x08location" + b"\x08\x00" * 1001), "a file")


TEXTS = {
    "a tensor's name": lambda proto: proto.graph.initializer[0].name,
    "a node's name": lambda proto: proto.graph.node[3].name,
    "an operator": lambda proto: proto.graph.node[3].op_type,
    "metadata": lambda proto: proto.metadata_props[2].value,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_texts_that_are_no_utf8_end_in_a_sentence(
    text: Callable[[onnx.ModelProto], str], exported: bytes, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    word = text(onnx.ModelProto.FromString(exported)).encode()
    path = here / "latin1.onnx"
    path.write_bytes(exported.replace(word, b"\xe9" + word[1:]))
    for read in (read_exported_model, read_metadata):
        with pytest.raises(EngineError, match=r"no UTF-8|has no input"):
            read(path)
    with contextlib.suppress(EngineError):  # of names inside ONNX Runtime makes what it likes
        Detector.open(path)
    assert capfd.readouterr() == ("", "")


def test_nothing_else_reads_onnx_files() -> None:
    """`onnx.load` follows external data by itself."""
    from repository import ROOMS, ROOT

    files = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    assert not [path for path in files if "onnx.load" in path.read_text(encoding="utf-8")]
