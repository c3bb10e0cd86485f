"""The C service, built with AddressSanitizer: its answers are yolact-infer's, and nothing that is sent breaks it."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import missing
import numpy as np
import pytest
from scripted_engine import write_engine
from service_process import Service
from waiting import wait_until

from yolact.cli.infer import main as yolact_infer
from yolact.runtime.errors import ImageError
from yolact.runtime.images.decoding import decode_image


@pytest.fixture(scope="module")
def program(sanitized_service: Path) -> Path:
    return sanitized_service


@pytest.fixture(scope="module")
def service(program: Path, tiny_engine: Path) -> Iterator[Service]:
    with Service(program, tiny_engine, "--max-body-mb", "2", "--max-megapixels", "1", "--score-threshold", "0") as one:
        yield one


def encode(image: np.ndarray, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


def expected(engine: Path, image: Path, folder: Path, *options: str) -> Any:
    """What yolact-infer writes about one image, without its name."""
    json_file = folder / "expected.json"
    command = ["--engine", str(engine), str(image), "--json", str(json_file), "--output", str(folder), *options]
    yolact_infer.main(command, standalone_mode=False)
    (row,) = json.loads(json_file.read_text())
    del row["source"]
    return row


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_answers_are_those_of_yolact_infer(
    service: Service, tiny_engine: Path, photos: list[np.ndarray], tmp_path: Path, suffix: str
) -> None:
    for index, photo in enumerate([photos[0], photos[1][:, :, 0], photos[2][:101, :33]]):
        path = tmp_path / f"{index}{suffix}"
        path.write_bytes(encode(photo, suffix))
        answer = service.infer(path.read_bytes(), X_Request_Id=f"photo-{index}")
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
        assert answer.headers["X-Request-Id"] == f"photo-{index}"
        row = answer.json
        assert row.pop("source") == f"photo-{index}"
        assert len(row["detections"]) > 3
        assert row == expected(tiny_engine, path, tmp_path, "--score-threshold", "0")


def test_openvino(service_program: Path, tiny_engine: Path, photos: list[np.ndarray], tmp_path: Path) -> None:
    """Without AddressSanitizer, which refuses the way that OpenVINO loads a library of its own (RTLD_DEEPBIND)."""
    path = tmp_path / "photo.png"
    path.write_bytes(encode(photos[0]))
    with Service(service_program, tiny_engine, "--device", "openvino", "--score-threshold", "0") as service:
        row = service.infer(path.read_bytes()).json
    del row["source"]
    options = ("--device", "openvino", "--score-threshold", "0")
    assert row == expected(tiny_engine, path, tmp_path, *options) and len(row["detections"]) > 3


def test_the_defaults_are_those_of_yolact_infer(program: Path, tmp_path: Path) -> None:
    """Thresholds, mask scores, names that JSON must escape, full and empty masks."""
    engine = write_engine(tmp_path / "rescored.onnx", mask_scores=[0.3, 0.6, 0.5, 0.05])
    with Service(program, engine) as service:
        for name, image in (("white", np.full((37, 61, 3), 255, np.uint8)), ("black", np.zeros((5, 9, 3), np.uint8))):
            (tmp_path / f"{name}.png").write_bytes(encode(image))
            row = service.infer(encode(image)).json
            assert row.pop("source").isdigit()
            assert row == expected(engine, tmp_path / f"{name}.png", tmp_path)


def test_the_limit_of_pixels_is_the_services(program: Path, engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library would have a limit of its own; it takes the service's."""
    monkeypatch.setenv("YOLACT_MAX_PIXELS", "5")
    with Service(program, engine, "--max-megapixels", "0.001") as service:
        assert service.infer(encode(np.zeros((25, 40, 3), np.uint8))).status == 200
        answer = service.infer(encode(np.zeros((7, 143, 3), np.uint8)))
        assert answer.status == 413 and "at most 1000 pixels, got 143x7" in answer.json["error"]


@pytest.mark.parametrize(
    ("name", "code"), [("bgr", None), ("rgb", cv2.COLOR_BGR2RGB), ("gray", None), ("bgra", cv2.COLOR_BGR2BGRA)]
)
def test_raw_pixels(service: Service, photos: list[np.ndarray], name: str, code: int | None) -> None:
    photo = np.ascontiguousarray(photos[0][:120, :91])
    if name == "gray":
        photo = np.repeat(photo[:, :, :1], 3, axis=2)
    pixels = photo[:, :, :1] if name == "gray" else photo if code is None else cv2.cvtColor(photo, code)
    padded = np.pad(pixels.reshape(120, -1), ((0, 0), (0, 7)))
    size = {"X_Image_Width": "91", "X_Image_Height": "120", "X_Image_Format": name}
    found = service.infer(encode(photo)).json["detections"]
    assert len(found) > 3
    assert service.infer(pixels.tobytes(), **size).json["detections"] == found
    stride = {"X_Image_Stride": str(padded.shape[1])}
    assert service.infer(padded.tobytes(), **size, **stride).json["detections"] == found
    assert service.infer(padded.tobytes()[:-7], **size, **stride).json["detections"] == found


PIXELS = bytes(12 * 10 * 3)
SIZE = {"X-Image-Width": "12", "X-Image-Height": "10", "X-Image-Format": "bgr"}
HUGE_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (60000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0" + bytes(30)


PHOTO = encode(np.full((50, 60, 3), 7, np.uint8), ".jpg")
LATE_SIZE = PHOTO[:2] + b"\0" + PHOTO[2:]
SCANS = PHOTO[:-2] + b"\xff\xda\0\x02" * 101 + PHOTO[-2:]
TEXTS = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x09\0\0\0\x09\x08\x02\0\0\0" + bytes(4)
TEXTS += 17 * (b"\0\0\0\x04zTXta\0\0x" + bytes(4)) + b"\0\0\0\0IEND" + bytes(4)


@pytest.mark.parametrize(
    ("body", "headers", "status", "said"),
    [
        (b"", {}, 400, "got none"),
        (b"hello", {}, 415, "got 5 bytes of something else"),
        (b"\xff", {}, 415, "JPEG or PNG"),
        (b"GIF89a" + bytes(99), {}, 415, "got 105 bytes of a GIF; convert the image"),
        (b'{"image": "abcd"}', {}, 415, "JSON; send the file as it is"),
        (b"data:image/png;base64,iVBORw0KGgo", {}, 415, "a data URL"),
        (b"/9j/4AAQSkZJRg==", {}, 415, "a JPEG in base64"),
        (b"--x\r\nContent-Disposition: form-data", {}, 415, "a form; send the file as it is, with curl"),
        (b"<svg/>", {}, 415, "convert the image, or send raw pixels"),
        (b"\xff\xd8", {}, 400, "truncated"),
        (b"\xff\xd8\xff\xd9", {}, 400, "damaged"),
        (b"\xff\xd8" + b"\xff" * 500, {}, 400, "truncated"),
        (b"\xff\xd8\xff\xe0\xff\xff" + bytes(50), {}, 400, "truncated"),
        (encode(np.full((50, 60, 3), 7, np.uint8), ".jpg")[:-200], {}, 400, "truncated"),
        (encode(np.full((50, 60, 3), 7, np.uint8))[:-20], {}, 400, "truncated"),
        (b"\x89PNG\r\n\x1a\n", {}, 400, "truncated"),
        (SCANS, {}, 400, "at most 100 scans"),
        (TEXTS, {}, 400, "16 packed texts"),
        (LATE_SIZE, {}, 400, "header has no size"),
        (PIXELS, SIZE | {"X-Image-Stride": "\xff\xfe"}, 400, "X-Image-Stride"),
        (HUGE_PNG, {}, 413, "got 60000x60000"),
        (encode(np.zeros((1001, 1000, 3), np.uint8), ".jpg"), {}, 413, "at most 1000000 pixels, got 1000x1001"),
        (bytes(2_000_001), {}, 413, "at most 2000000 bytes, got 2000001"),
        (PIXELS, {"X-Image-Width": "12"}, 400, "X-Image-Height"),
        (PIXELS, SIZE | {"X-Image-Width": "0"}, 400, "from 1 to"),
        (PIXELS, SIZE | {"X-Image-Height": "-10"}, 400, "from 1 to"),
        (PIXELS, SIZE | {"X-Image-Height": "99999999999999999999"}, 400, "from 1 to"),
        (PIXELS, SIZE | {"X-Image-Width": "1x"}, 400, "from 1 to"),
        (PIXELS, SIZE | {"X-Image-Format": "yuv"}, 400, "bgr, rgb, gray or bgra"),
        (PIXELS, SIZE | {"X-Image-Stride": "35"}, 400, "from 36"),
        (PIXELS, SIZE | {"X-Image-Stride": "37"}, 400, "expected a body of 369 bytes"),
        (PIXELS, SIZE | {"X-Image-Stride": "x"}, 400, "X-Image-Stride"),
        (PIXELS[:-1], SIZE, 400, "expected a body of 360 bytes for 12x10 pixels, got 359"),
        (PIXELS + b"0", SIZE, 400, "got 361"),
        (PIXELS, SIZE | {"X-Image-Width": "1048576", "X-Image-Height": "1048576"}, 413, "1048576x1048576"),
    ],
)
def test_refused_bodies(service: Service, body: bytes, headers: dict[str, str], status: int, said: str) -> None:
    answer = service.request("POST", "/v1/infer", body, headers)
    assert answer.status == status, answer.body
    assert said in answer.json["error"]
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/v1/infer/../../../etc/passwd", 404),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd%0a\"'", 404),
        ("GET", "/" + 5000 * "x", 404),
        ("GET", "/%ff%9b%c3", 404),
        ("GET", "", 404),
        ("GET", "/v1/infer", 405),
        ("PUT", "/v1/infer", 405),
        ("POST", "/healthz", 405),
        ("BREW", "/metrics", 405),
        ("OPTIONS", "*", 404),
        ("OPTIONS", "/v1/infer", 405),
        ("HEAD", "/v1/infer", 405),
        ("TRACE", "/healthz", 405),
        ("post", "/v1/infer", 405),
        ("GET", "/healthz?from=probe", 200),
        ("HEAD", "/metrics", 200),
        ("HEAD", "/healthz", 200),
    ],
)
def test_paths_and_methods(service: Service, method: str, path: str, status: int) -> None:
    answer = service.request(method, path)
    assert answer.status == status
    if status == 405:
        assert answer.headers["Allow"] == ("POST" if path == "/v1/infer" else "GET, HEAD")
    if method == "HEAD":
        assert answer.body == b""


def test_damage_that_only_a_decoder_tells_is_answered_and_not_printed(
    service: Service, photos: list[np.ndarray], tmp_path: Path
) -> None:
    """As Python says it."""
    data = bytearray(encode(photos[0], ".jpg"))
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    answer = service.infer(bytes(data))
    with pytest.raises(ImageError) as caught:
        decode_image(bytes(data), "image")
    assert (answer.status, answer.json["error"]) == (400, str(caught.value))
    assert "damaged" in answer.json["error"] and not service.errors


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Content-Type": "multipart/form-data; boundary=x"}, "--data-binary @photo.jpg instead of -F"),
        ({"Content-Type": "MULTIPART/mixed"}, "got a form"),
        ({"Content-Encoding": "gzip"}, "got a Content-Encoding"),
    ],
)
@pytest.mark.parametrize("expect", [{}, {"Expect": "100-continue"}])
def test_wrapped_images(service: Service, headers: dict[str, str], expect: dict[str, str], said: str) -> None:
    answer = service.request("POST", "/v1/infer", PHOTO, headers | expect)
    assert answer.status == 415 and said in answer.json["error"]


@pytest.mark.parametrize("kind", ["image/jpeg", "application/x-www-form-urlencoded", "text/plain", "nonsense", ""])
def test_the_kind_that_a_client_names_does_not_matter(service: Service, kind: str) -> None:
    """curl --data-binary says that it sends a form."""
    assert service.infer(PHOTO, Content_Type=kind, Content_Encoding="identity").status == 200


def test_curl(service: Service, tmp_path: Path) -> None:
    """As the README has it, and as a form."""
    if shutil.which("curl") is None:
        pytest.skip(missing.program("curl"))
    (tmp_path / "photo.jpg").write_bytes(PHOTO)
    address = f"http://127.0.0.1:{service.port}/v1/infer"
    answers = []
    for option in (["--data-binary", "@photo.jpg"], ["-F", "image=@photo.jpg"]):
        command = ["curl", "-s", *option, address]
        answers.append(json.loads(subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout))
    assert answers[0]["detections"] and "instead of -F" in answers[1]["error"]


@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
@pytest.mark.parametrize(
    ("length", "status"),
    [
        *((str(2**63 + step).encode(), b"413") for step in (-1, 0, 1)),
        *((str(2**64 + step).encode(), b"413") for step in (-2, -1, 0)),
        (b"9" * 40, b"413"),
        *((word, b"400") for word in (b"-5", b"+5", b"abc", b"5x", b"0x10", b"5, 5", b"", b"1e3", b"\xd9\xa3")),
    ],
)
def test_lengths_that_no_body_has(service: Service, length: bytes, status: bytes, expect: bytes) -> None:
    """They are answered at once, also where the client waits with its body until then; libmicrohttpd 0.9.75 sends the
    head of its own answers twice."""
    head = b"Host: x\r\nContent-Length: " + length + b"\r\n" + expect + b"\r\n"
    assert raw_exchange(service, b"POST /v1/infer HTTP/1.1\r\n" + head, end=False) in ([status], [status] * 2)
    if status == b"413":
        assert raw_exchange(service, b"GET /healthz HTTP/1.1\r\n" + head, end=False)[0] == status


def test_requests_that_follow_each_other_at_once(service: Service) -> None:
    """Pipelined: each is answered, in order, also after one that was refused."""
    photo = f"Content-Length: {len(PHOTO)}\r\n\r\n".encode() + PHOTO
    text = b"Content-Length: 5\r\n\r\nhello"
    assert raw_exchange(service, POST + photo + POST + text + POST + photo + FOLLOWING) == [
        *(b"200", b"415", b"200", b"200")
    ]


def raw_exchange(service: Service, sent: bytes, end: bool = True) -> list[bytes]:
    """The statuses of what comes back for bytes that no client library would send, until the service closes; with
    `end` the client tells that it sends no more."""
    received = b""
    with service.connect() as connection, suppress(OSError):
        connection.sendall(sent)
        if end:
            connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(65536):
            received += piece
    return re.findall(rb"^HTTP/1.1 (\d+) ", received, re.MULTILINE)


CHUNKED = b"POST /v1/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
POST, FOLLOWING = b"POST /v1/infer HTTP/1.1\r\nHost: x\r\n", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (POST + b"Content-Length: 1000000000\r\n\r\n" + bytes(9_000_000), b"413"),
        (CHUNKED + 100 * (b"8000\r\n" + bytes(0x8000) + b"\r\n") + b"0\r\n\r\n" + FOLLOWING, b"411"),
        (CHUNKED + b"ffffffffffffffffff\r\nx" + FOLLOWING, b"413"),
        (CHUNKED + b"zz\r\nx" + FOLLOWING, b"400"),
        (POST + b"Transfer-Encoding: gzip\r\n\r\nhello" + FOLLOWING, b"411"),
        (b"GET /healthz HTTP/1.1\r\n" + b"A: b\r\n" * 100_000, b"431"),
        (POST + b"Content-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n", b"413"),
        (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n" + FOLLOWING, b"411"),
        (POST + b"Content-Length: -5\r\n\r\n", b"400"),
        (POST + b"X-Filler: 1234567890\r\n" * 5000 + b"\r\n", b"431"),
        (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!" + FOLLOWING, b"400"),
        (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + FOLLOWING, b"400"),
        (POST + b"Content-Length : 5\r\n\r\n" + FOLLOWING, b"400"),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 a TLS handshake\r\n\r\n", b"400"),
    ],
)
def test_requests_no_client_would_send(service: Service, sent: bytes, status: bytes) -> None:
    """The answer may get lost where more is sent than is read. What follows is never taken for another request."""
    answered = raw_exchange(service, sent)
    assert set(answered) <= {status}
    assert answered or len(sent) > 1000 or not sent.startswith(b"POST")
    assert service.request("GET", "/healthz").body == b"ok\n"


def test_ids_cannot_forge_the_log(service: Service, photos: list[np.ndarray]) -> None:
    for given in ("two words", 'quote"', "x" * 65, ""):
        answer = service.request("GET", "/healthz", headers={"X-Request-Id": given})
        assert answer.headers["X-Request-Id"].isdigit()
    service.request("GET", "/%0aforged%22%20status=200")
    service.request("GET", "/last-line")
    wait_until(lambda: any("last-line" in line for line in service.log))
    (line,) = [line for line in service.log if "forged" in line]
    assert line.endswith('path="/%0Aforged\\" status=200"\n')


def test_metrics_count_what_was_answered(program: Path, engine: Path) -> None:
    image = encode(np.full((20, 30, 3), 255, np.uint8))
    with Service(program, engine) as service:
        for _ in range(3):
            assert len(service.infer(image).json["detections"]) == 3
        service.infer(b"hello")
        service.request("GET", "/nothing")
        samples = service.metrics()
        assert len([line for line in service.log if "status=" in line]) >= 5
    assert samples['yolact_requests_total{code="200"}'] == 3
    assert samples['yolact_requests_total{code="415"}'] == samples['yolact_requests_total{code="404"}'] == 1
    assert samples["yolact_errors_total"] == 2
    assert samples["yolact_detections_total"] == 9
    assert (samples["yolact_queue_depth"], samples["yolact_queue_size"]) == (0, 64)
    for name, count in (("yolact_request_seconds", 3), ("yolact_engine_seconds", 3), ("yolact_batch_images", 3)):
        buckets = [value for key, value in samples.items() if key.startswith(f"{name}_bucket")]
        assert buckets == sorted(buckets) and buckets[-1] == samples[f"{name}_count"] == count
        assert f'{name}_bucket{{le="+Inf"}}' in samples
    assert samples["yolact_batch_images_sum"] == samples['yolact_batch_images_bucket{le="1"}'] == 3


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ([], 2, "--engine FILE"),
        (["--engine", "e.onnx", "stray"], 2, "got stray"),
        (["--engine", "e.onnx", "--port", "65536"], 2, "--port: expected a whole number from 0 to 65535, got 65536"),
        (["--engine", "e.onnx", "--queue", "0"], 2, "--queue"),
        (["--engine", "e.onnx", "--port", " 80"], 2, "--port"),
        (["--engine", "e.onnx", "--max-batch", "1.5"], 2, "got 1.5"),
        (["--engine", "e.onnx", "--score-threshold", "nan"], 2, "from 0 to 1, got nan"),
        (["--engine", "e.onnx", "--timeout", ""], 2, "--timeout"),
        (["--engine", "e.onnx", "--nonsense"], 2, "nonsense"),
        (["--engine", "missing.onnx"], 4, "missing.onnx"),
        (["--engine", "{engine}", "--device", "gpu"], 2, "got 'gpu'"),
        (["--engine", "{engine}", "--precision", "bf16"], 2, "expected a precision of file or auto, got 'bf16'"),
        (["--engine", "{engine}", "--precision", "auto"], 2, "--precision auto is for --device openvino, got no"),
        (["--engine", "{engine}", "--host", "not an address"], 1, "--host"),
    ],
)
def test_wrong_options(program: Path, engine: Path, options: list[str], code: int, said: str) -> None:
    words = [word.format(engine=engine) for word in options]
    environment = {"ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert done.stdout == ""


def test_a_port_that_is_taken(program: Path, engine: Path, service: Service) -> None:
    command = [program, "--engine", engine, "--port", str(service.port)]
    environment = {"ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1, port {service.port}" in done.stderr
