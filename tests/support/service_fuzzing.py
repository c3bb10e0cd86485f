"""Bytes for examples/c_service: what mutations start from, in tests and for `make fuzz`."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from repository import ROOT

from benchmarks.service.load import SOURCES as SERVICE

TARGETS = ROOT / "tests" / "support" / "fuzz_service"
IMAGE, REQUEST, JSON, INFERENCE = b"\0", b"\1", b"\2", b"\3"


def sources() -> list[Path]:
    """What is compiled together with the target."""
    names = (
        *("image_header.c", "request.c", "routes.c", "text.c", "results_json.c", "mask_rle.c", "base64.c"),
        *("json_reader.c", "tensors.c", "inference_request.c", "inference_refusal.c", "encoded_images.c"),
        "inference_answer.c",
    )
    return [TARGETS / "targets.c", *(SERVICE / name for name in names)]


def write_seeds(folder: Path) -> list[Path]:
    """One file a seed, whose first byte names what reads it."""
    files = []
    for index, seed in enumerate([*_images(), *_requests(), *_results(), *_inferences()]):
        files.append(folder / f"{index:02}")
        files[-1].write_bytes(seed)
    return files


def _images() -> list[bytes]:
    pixels = np.arange(9 * 8 * 3, dtype=np.uint8).reshape(9, 8, 3)
    progressive = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 1]
    kinds: Sequence[tuple[str, list[int]]] = ((".jpg", []), (".jpg", progressive), (".png", []), (".bmp", []))
    return [IMAGE + cv2.imencode(suffix, pixels, options)[1].tobytes() for suffix, options in kinds]


def _requests() -> list[bytes]:
    raw = b"X-Image-Width: 12\nX-Image-Height: 10\nX-Image-Format: bgr\n"
    heads = [
        b"Content-Length: 360\n" + raw,
        b"Content-Length: 369\nX-Image-Stride: 37\n" + raw,
        b"Content-Length: 5\nContent-Type: image/jpeg\nX-Request-Id: photo-1.jpg\n",
        b"Content-Length: 5\nContent-Type: multipart/form-data; boundary=x\nContent-Encoding: gzip\n",
        b"Transfer-Encoding: chunked\nExpect: 100-continue\n",
    ]
    inference = b"/v2/models/yolact/infer\nPOST\nInference-Header-Content-Length: 3\nContent-Length: 5\n"
    return [*(REQUEST + b"/v1/infer\nPOST\nHost: x\n" + head for head in heads), REQUEST + inference]


def _inferences() -> list[bytes]:
    """Bodies of V2 requests, behind the number of bytes that are no JSON."""
    image: dict[str, Any] = {"name": "image", "datatype": "BYTES", "shape": [2, 1]}
    words = [base64.b64encode(word).decode() for word in (b"one", b"other")]
    binary = struct.pack("<I3sI5s", 3, b"one", 5, b"other")
    outputs = [{"name": "boxes"}, {"name": "masks", "parameters": {"binary_data": True}}]
    requests: list[tuple[dict[str, Any], bytes]] = [
        ({"inputs": [image | {"data": words}]}, b""),
        ({"id": "gr\u00f6\u00dfe \U0001f600\n", "inputs": [image | {"data": [[word] for word in words]}]}, b""),
        ({"inputs": [image | {"parameters": {"binary_data_size": len(binary)}}], "outputs": outputs}, binary),
        ({"extra": [1.5e-3, [None, True, {"a": -0}]], "parameters": {"binary_data_output": True}}, b""),
    ]
    requests[3][0].update(requests[0][0])
    return [
        INFERENCE + struct.pack("<H", len(behind)) + json.dumps(said).encode() + behind for said, behind in requests
    ]


def _results() -> list[bytes]:
    numbers = [[1, 2, 30, 40, 0.5, 0.25], [np.nan, np.inf, -np.inf, 1e38, 0.5, np.nan], [0] * 6]
    places = [(3, 5, 20, 30), (1, 1, 40, 50), (10, 7, 0, 0)]
    names = ["größe".encode(), b"\xed\xa0\x80\x1b[31m", b'"\\\x01\x7f\xff']
    rows = zip(numbers, places, names, strict=True)
    return [
        JSON + struct.pack("<6f", *row) + bytes(place) + name.ljust(8, b"\0") + bytes(range(256)) + b"photo.jpg"
        for row, place, name in rows
    ]
