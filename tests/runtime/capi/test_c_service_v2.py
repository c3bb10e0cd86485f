"""The C service's answers by KServe's V2 protocol, sanitized: to Triton's client, and to what no client sends."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scripted_engine import write_engine
from service_process import Answer, Service
from v2_client import check_answer, check_server, connected, infer

from yolact.runtime.detections import Detections
from yolact.runtime.detector import Detector

INFER = "/v2/models/yolact/infer"


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_engine(tmp_path_factory.mktemp("v2") / "rescored.onnx", mask_scores=[0.3, 0.6, 0.5, 0.05])


@pytest.fixture(scope="module")
def service(sanitized_service: Path, scripted: Path) -> Iterator[Service]:
    with Service(sanitized_service, scripted, "--max-body-mb", "2", "--max-megapixels", "1", "--max-batch", "3") as one:
        yield one


def encode(image: np.ndarray, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


WHITE, BLACK = np.full((37, 61, 3), 255, np.uint8), np.zeros((5, 9, 3), np.uint8)
PHOTO, DARK = encode(WHITE), encode(BLACK)
TEXT, DARK_TEXT = (base64.b64encode(file).decode() for file in (PHOTO, DARK))


def test_tritons_client(sanitized_service: Path, tiny_engine: Path, photos: list[np.ndarray]) -> None:
    """With a real network, whose images have different numbers of detections."""
    options = ("--score-threshold", "0.03", "--top-k", "0", "--max-batch", "3")
    with Service(sanitized_service, tiny_engine, *options) as service, Detector.open(tiny_engine) as detector:

        def detect(image: np.ndarray) -> Detections:
            return detector(image, score_threshold=0.03)

        images = [photos[0], np.ascontiguousarray(photos[1][:101, :33]), photos[2]]
        assert min(len(detect(image)) for image in images) > 3
        check_server(f"127.0.0.1:{service.port}", detect, images)


def test_a_model_of_yolact_plus_plus_and_images_without_detections(service: Service, scripted: Path) -> None:
    with Detector.open(scripted) as detector, connected(f"127.0.0.1:{service.port}") as client:
        white, black = (detector(image, score_threshold=0.15) for image in (WHITE, BLACK))
        assert (len(white), len(black)) == (3, 0)
        for files, expected in (([DARK], [black]), ([DARK, PHOTO, DARK], [black, white, black])):
            check_answer(infer(client, files), expected)
            every = [*infer(client, files)]
            assert "mask_scores" in every
            check_answer(infer(client, files, every, binary=False), expected)
        names = client.get_model_metadata("yolact")["parameters"]["class_names"]
        assert names == ["person", "dog", "traffic light", "Bus"]


IMAGE: dict[str, Any] = {"name": "image", "datatype": "BYTES", "shape": [1, 1]}
DATA = IMAGE | {"data": [TEXT]}


def ask(service: Service, body: object, behind: bytes = b"", **headers: str) -> Answer:
    """JSON, or bytes instead, and what follows."""
    said = body if isinstance(body, bytes) else json.dumps(body).encode()
    if behind:
        headers = {"Inference-Header-Content-Length": str(len(said))} | {
            k.replace("_", "-"): v for k, v in headers.items()
        }
    return service.request("POST", INFER, said + behind, headers)


@pytest.mark.parametrize("data", [[TEXT, DARK_TEXT], [[TEXT], [DARK_TEXT]], [TEXT.replace("/", "\\/"), DARK_TEXT]])
def test_plain_json(service: Service, data: list[Any]) -> None:
    """As curl sends it, in any order of members, with what the protocol leaves to extensions."""
    said = {
        "extra": {"a": [None, -1.5e-3, True]},
        "inputs": [{"data": data} | IMAGE | {"shape": [2, 1]}],
        "id": "größe",
    }
    answer = ask(service, json.dumps(said).replace("\\\\/", "\\/").encode())
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json"), answer.body
    assert "Inference-Header-Content-Length" not in answer.headers
    outputs = {output["name"]: output for output in answer.json["outputs"]}
    assert answer.json["id"] == "größe" and outputs["num_detections"]["data"] == [3, 0]
    assert outputs["masks"]["shape"] == [2, 3] and outputs["masks"]["data"][3:] == ["", "", ""]
    alone = service.infer(PHOTO).json["detections"]
    assert [one["mask"]["counts"] for one in alone] == outputs["masks"]["data"][:3]
    assert outputs["boxes"]["data"][:12] == pytest.approx([side for one in alone for side in one["box"]], abs=0.01)


def binary(*files: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(file)) + file for file in files)


def sized(size: int, **other: Any) -> dict[str, Any]:
    return {"inputs": [IMAGE | {"parameters": {"binary_data_size": size}} | other]}


PACKED = binary(PHOTO)
CUT = encode(np.full((50, 60, 3), 7, np.uint8), ".jpg")[:-200]
SHARED = {"shared_memory_region": "mine", "shared_memory_byte_size": 9}


@pytest.mark.parametrize(
    ("body", "behind", "status", "said"),
    [
        (b"", b"", 400, "expected JSON as the body, got none"),
        (b"hello", b"", 400, "expected an object at byte 0 of the request's JSON, got h"),
        (PHOTO, b"", 400, "got the byte 0x89"),
        (b"[]", b"", 400, "expected an object at byte 0"),
        (b'{"inputs": [', b"", 400, "got its end"),
        (b'{"inputs": []}{}', b"", 400, "expected the end at byte 14"),
        (b'{"a": ' + 5000 * b"[", b"", 400, "at most 16 lists"),
        (b'{"a": ' + 5000 * b'{"a": ', b"", 400, "at most 16 lists"),
        (b'{"inputs": [], "inputs": []}', b"", 400, "expected each name once at byte 15"),
        (b'{"id": "a", "\\u0069d": "b"}', b"", 400, "each name once"),
        (b'{"id": "\\u0000"}', b"", 400, "without zeros"),
        (b'{"id": "\\ud800"}', b"", 400, "surrogate pair"),
        (b"{'id': 1}", b"", 400, "a text in quotes at byte 1"),
        (b'{"a": 01}', b"", 400, "a comma or } at byte 7"),
        (b'{"a": NaN}', b"", 400, "expected a value at byte 6"),
        (b'{"a": "\n"}', b"", 400, "got the byte 0x0a"),
        ({}, b"", 400, "expected the input image, got none"),
        ({"inputs": []}, b"", 400, "expected the input image, got none"),
        ({"inputs": [DATA, DATA]}, b"", 400, "expected one input, image, got 2"),
        ({"inputs": DATA}, b"", 400, "expected a list"),
        ({"inputs": [None]}, b"", 400, "expected an object"),
        ({"inputs": [DATA | {"name": "photo"}]}, b"", 400, "expected the input image, got photo"),
        ({"inputs": [DATA | {"name": 9999 * "x"}]}, b"", 400, "got " + 60 * "x" + '"'),
        ({"inputs": [DATA | {"datatype": "UINT8"}]}, b"", 400, "datatype BYTES, got UINT8"),
        ({"inputs": [DATA | {"shape": [1]}]}, b"", 400, "shape [n, 1] with n from 1 to 3, got [1]"),
        ({"inputs": [DATA | {"shape": []}]}, b"", 400, "got []"),
        ({"inputs": [DATA | {"shape": [0, 1]}]}, b"", 400, "got [0, 1]"),
        ({"inputs": [DATA | {"shape": [4, 1]}]}, b"", 400, "got [4, 1]"),
        ({"inputs": [DATA | {"shape": [2**64 - 1, 1]}]}, b"", 400, "got [18446744073709551615, 1]"),
        ({"inputs": [DATA | {"shape": [2**64, 1]}]}, b"", 400, "a whole number below 2^64"),
        ({"inputs": [DATA | {"shape": [-1, 1]}]}, b"", 400, "expected a whole number at byte"),
        ({"inputs": [DATA | {"shape": [1.0, 1]}]}, b"", 400, "expected a whole number at byte"),
        ({"inputs": [DATA | {"shape": 99 * [1]}]}, b"", 400, "got [1, 1, 1, 1, 1, 1, 1, 1, ...]"),
        ({"inputs": [DATA | {"shape": [2, 1]}]}, b"", 400, "as the shape says, 2, got fewer"),
        ({"inputs": [DATA | {"data": [TEXT, TEXT]}]}, b"", 400, "as the shape says, 1, got more"),
        ({"inputs": [DATA | {"data": [[TEXT, TEXT]]}]}, b"", 400, "a list of one text"),
        ({"inputs": [DATA | {"data": [[]]}]}, b"", 400, "a list of one text"),
        ({"inputs": [DATA | {"data": TEXT}]}, b"", 400, "expected a list"),
        ({"inputs": [DATA | {"data": [255, 216]}]}, b"", 400, "expected a text in quotes"),
        ({"inputs": [DATA | {"data": [TEXT[:-1]]}]}, b"", 400, "image 1 of 1: expected a file in base64"),
        ({"inputs": [DATA | {"data": ["data:" + TEXT]}]}, b"", 400, "expected a file in base64"),
        ({"inputs": [DATA | {"data": [""]}]}, b"", 415, "expected a JPEG or PNG file, got 0 bytes"),
        ({"inputs": [DATA | {"data": ["aGVsbG8="]}]}, b"", 415, 'got 5 bytes of something else; convert the image"'),
        ({"inputs": [IMAGE]}, b"", 400, "got neither"),
        ({"inputs": [DATA | {"parameters": {"binary_data_size": 3}}]}, b"", 400, "got both"),
        ({"inputs": [IMAGE | {"parameters": SHARED}]}, b"", 400, "a region of shared memory"),
        ({"inputs": [DATA]}, PACKED, 400, f"the {len(PACKED)} bytes that follow the JSON, got 0"),
        (sized(len(PACKED) + 1), PACKED, 400, f"got {len(PACKED) + 1}"),
        (sized(2**64 - 1), PACKED, 400, "got 18446744073709551615"),
        (sized(0), b"", 400, "image 1 of 1: expected a length of 4 bytes"),
        (sized(3), b"abc", 400, "expected a length of 4 bytes, got the end"),
        (sized(8), b"\xff\xff\xff\xffabcd", 400, "expected the 4294967295 bytes that its length says, got 4"),
        (sized(len(PACKED) + 1), PACKED + b"x", 400, "expected the body to end after image 1, got 1 more"),
        (sized(len(2 * PACKED), shape=[3, 1]), 2 * PACKED, 400, "image 3 of 3: expected a length"),
        (sized(len(binary(CUT))), binary(CUT), 400, "truncated"),
        (
            sized(len(binary(PHOTO, b"x")), shape=[2, 1]),
            binary(PHOTO, b"x"),
            415,
            "image 2 of 2: expected a JPEG or PNG",
        ),
        (sized(len(binary(b"x", CUT)), shape=[2, 1]), binary(b"x", CUT), 415, "image 1 of 2: expected a JPEG or PNG"),
        (sized(len(binary(b"/9j/4AAQ"))), binary(b"/9j/4AAQ"), 415, "a JPEG in base64; send the file as it is"),
        ({"inputs": [DATA], "outputs": [{"name": "colours"}]}, b"", 400, "GET /v2/models/yolact lists, got colours"),
        ({"inputs": [DATA], "outputs": [{}]}, b"", 400, "got one without a name"),
        ({"inputs": [DATA], "outputs": 2 * [{"name": "boxes"}]}, b"", 400, "each output once, got boxes twice"),
        ({"inputs": [DATA], "outputs": [{"name": "boxes", "parameters": SHARED}]}, b"", 400, "shared_memory_region"),
        (
            {"inputs": [DATA], "outputs": [{"name": "boxes", "parameters": {"classification": 2}}]},
            *(b"", 400, "without classification"),
        ),
        ({"inputs": [DATA], "parameters": {"top_k": 3}}, b"", 400, "without the parameter top_k"),
        ({"inputs": [DATA], "parameters": {"binary_data_output": 1}}, b"", 400, "expected true or false"),
        ({"inputs": [DATA], "id": 257 * "x"}, b"", 400, "an id of at most 256 bytes, got 257"),
        ({"inputs": [DATA], "id": 7}, b"", 400, "a text in quotes"),
        ({"inputs": [DATA], "padding": 2_000_000 * " "}, b"", 413, "at most 2000000 bytes"),
    ],
)
def test_refused_requests(service: Service, body: object, behind: bytes, status: int, said: str) -> None:
    answer = ask(service, body, behind)
    assert answer.status == status, answer.body
    assert list(answer.json) == ["error"] and answer.headers["Content-Type"] == "application/json"
    assert said.rstrip('"') in answer.json["error"]
    assert not said.endswith('"') or answer.json["error"].endswith(said.rstrip('"'))


@pytest.mark.parametrize(
    ("length", "said"),
    [
        *(("0", "from 1 to"), ("-1", "got -1"), ("99999999", "got 99999999"), ("9" * 30, "from 1 to")),
        *(
            ("12x", "got 12x"),
            ("", "from 1 to"),
            ("7", "got its end"),
            (str(2**64 + 9), "from 1 to"),
            ("1e1", "got 1e1"),
        ),
    ],
)
def test_lengths_of_json_that_lie(service: Service, length: str, said: str) -> None:
    answer = ask(service, sized(len(PACKED)), PACKED, Inference_Header_Content_Length=length)
    assert answer.status == 400 and said in answer.json["error"], answer.body


def test_a_length_of_json_that_takes_a_byte_of_the_images(service: Service) -> None:
    said = json.dumps(sized(len(PACKED))).encode()
    for step, problem in ((-1, "a comma or }"), (1, "expected the end at byte")):
        answer = ask(service, said, PACKED, Inference_Header_Content_Length=str(len(said) + step))
        assert answer.status == 400 and problem in answer.json["error"], answer.body


def test_two_lengths_of_json(service: Service) -> None:
    """A proxy might believe the other one."""
    said = json.dumps({"inputs": [DATA]}).encode()
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(said)}\r\nConnection: close\r\n"
    head += "Inference-Header-Content-Length: 3\r\nInference-Header-Content-Length: 4\r\n\r\n"
    with service.connect() as connection:
        connection.sendall(head.encode() + said)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400") and b"expected one Inference-Header-Content-Length, got 2" in answer


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("GET", "/v2", 200, '"version"'),
        ("GET", "/v2/health/live", 200, '{"live": true}'),
        ("GET", "/v2/health/ready", 200, '{"ready": true}'),
        ("GET", "/v2/models/yolact/ready", 200, '{"name": "yolact", "ready": true}'),
        ("GET", "/v2/models/yolact/versions/1", 200, '"versions": ["1"]'),
        ("HEAD", "/v2/models/yolact", 200, ""),
        ("GET", "/v2/models/yolact/versions/2", 404, "expected the model yolact, version 1"),
        ("POST", "/v2/models/other/infer", 404, "expected the model yolact, version 1"),
        ("GET", "/v2/models/yolact/config", 404, "got /v2/models/yolact/config"),
        ("GET", "/v2/models/", 404, "expected the model yolact"),
        ("GET", "/v2/health", 404, "expected GET /v2, GET /v2/health/live"),
        ("GET", INFER, 405, "expected POST"),
        ("POST", "/v2/health/live", 405, "expected GET"),
        ("DELETE", "/v2/models/yolact", 405, "expected GET"),
    ],
)
def test_paths_and_methods(service: Service, method: str, path: str, status: int, said: str) -> None:
    answer = service.request(method, path)
    assert answer.status == status and said in answer.body.decode().replace('\\"', '"'), answer.body
    if status == 405:
        assert answer.headers["Allow"] == ("POST" if path == INFER else "GET, HEAD")


@pytest.mark.parametrize("headers", [{"Content-Type": "multipart/form-data; boundary=x"}, {"Content-Encoding": "gzip"}])
def test_wrapped_requests(service: Service, headers: dict[str, str]) -> None:
    answer = service.request("POST", INFER, json.dumps({"inputs": [DATA]}).encode(), headers)
    assert answer.status == 415 and answer.json["error"].startswith("expected JSON as the body, got a")


def test_the_log_and_the_metrics_have_requests_of_several_images(sanitized_service: Path, engine: Path) -> None:
    files = binary(PHOTO, DARK, PHOTO)
    with Service(sanitized_service, engine, "--queue", "2") as service:
        assert ask(service, sized(len(files), shape=[3, 1]), files).json["error"].endswith("from 1 to 2, got [3, 1]")
        files = binary(PHOTO, PHOTO)
        assert ask(service, sized(len(files), shape=[2, 1]), files).status == 200
        samples = service.metrics()
    assert samples["yolact_detections_total"] == 6
    assert samples["yolact_request_seconds_count"] == 1 and samples["yolact_batch_images_sum"] == 2
    assert any("status=200" in line and "engine_ms=" in line and f'path="{INFER}"' in line for line in service.log)
