"""Refuses ONNX files that keep weights in other files, before ONNX Runtime or onnx follows where these point.

A stranger's file may name any file of the machine: several versions of ONNX Runtime read ``../../x``, absolute paths
and symbolic links as weights. All files of this toolkit are single ones. The test reads protobuf's wire format itself,
so that it does not need the package onnx, which an installation for inference lacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from yolact.runtime.errors import EngineError

_WORD = b"location"
"""The key without which no external data is found: it must stand in the file as it is."""

_LENGTH_ENDS = b"\x08\x00"
"""Last byte of the length before the key: protobuf lets 8 be written longer than it is, with zeros at the end."""

_CHUNK = 1 << 22

MAX_FIELDS = 2_000_000
"""Most fields that are looked at. A file of yolact-export has some ten thousand."""

_PARTS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
"""By kind of message, the fields that can hold a tensor somewhere inside. Source: onnx/onnx.proto."""

_EXTERNAL_DATA, _DATA_LOCATION = 13, 14


def refuse_external_data(file: BinaryIO, source: str) -> None:
    """Read an ONNX file; `source` names it in errors.

    Raises EngineError where a tensor in it, also of a subgraph or function, has its values in another file.
    """
    if not _may_have_any(file):
        return
    file.seek(0)
    try:
        external = _has_any(memoryview(file.read()))
    except (ValueError, IndexError):
        raise EngineError(f"{source} is no ONNX file, or a damaged one; export it with yolact-export") from None
    if external:
        raise EngineError(
            f"{source} keeps weights in other files and may name any file of this machine, so it is refused; export it "
            "with yolact-export, which writes single files"
        )


def _may_have_any(file: BinaryIO) -> bool:
    """A quick search that rules out nearly every file without external data, and none with it."""
    before = b""
    while chunk := file.read(_CHUNK):
        data = before + chunk
        start = data.find(_WORD, 1)
        while start > 0:
            if data[start - 1] in _LENGTH_ENDS:
                return True
            start = data.find(_WORD, start + 1)
        before = data[-len(_WORD) :]
    return False


def _has_any(model: memoryview) -> bool:
    """Whether a tensor has external data. Raises ValueError or IndexError for what is no ONNX file."""
    waiting, fields = [("model", model)], 0
    while waiting:
        kind, message = waiting.pop()
        for number, value in _fields(message):
            fields += 1
            if fields > MAX_FIELDS:
                raise ValueError("too many fields")
            if kind == "tensor":
                if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0):
                    return True
            elif isinstance(value, memoryview) and number in _PARTS[kind]:
                waiting.append((_PARTS[kind][number], value))
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field of a message: a number for a varint, else the bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(message, at)
        else:
            size = {1: 8, 5: 4}.get(wire, len(message))  # groups, which ONNX has none of, end beyond the message
        if at + size > len(message):
            raise ValueError("a field that ends beyond its message")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number, and where the next one begins."""
    value = 0
    for index in range(10):
        byte = message[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise ValueError("a number of more than 64 bits")
