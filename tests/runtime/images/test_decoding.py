"""Decoding: damage that decoders only print, depths above 8 bits, AVIF's own orientation, and limits before memory."""

from __future__ import annotations

import io
import logging
import os
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import missing
import numpy as np
import PIL.Image
import pytest

from yolact.runtime.capi import bridge
from yolact.runtime.errors import ImageError, UsageError
from yolact.runtime.images import byte_images, decoding
from yolact.runtime.images.decoder_messages import decode_listening
from yolact.runtime.images.decoding import decode_image
from yolact.runtime.images.image_header import recognise

HEIGHT, WIDTH = 96, 128
NOISE = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
RAMP = np.linspace(0, 1, HEIGHT * WIDTH * 3).reshape(HEIGHT, WIDTH, 3)
"""All values from 0 to 1."""


def encode(suffix: str, image: Any = NOISE, *parameters: int) -> bytes:
    return bytes(cv2.imencode(suffix, image, parameters)[1].tobytes())


def pillow(form: str, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(NOISE[..., ::-1]).convert(mode).save(buffer, form, **options)
    return buffer.getvalue()


def overwritten(data: bytes, start: float, filling: bytes) -> bytes:
    first = int(start * len(data))
    return data[:first] + filling + data[first + len(filling) :]


FILLINGS = {"zeros": bytes(400), "ones": b"\xff" * 400, "others": np.random.default_rng(1).bytes(400)}
DAMAGED = {
    "JPEG": encode(".jpg"),
    "JPEG, progressive": encode(".jpg", NOISE, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "JPEG with restarts": encode(".jpg", NOISE, cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
    "PNG": encode(".png"),
    "TIFF": encode(".tiff"),
    "TIFF of group 3": pillow("TIFF", "1", compression="group3"),
    "TIFF of modified Huffman": pillow("TIFF", "1", compression="tiff_ccitt"),
    "TIFF of PackBits": pillow("TIFF", compression="packbits"),
    "TIFF of deflate": pillow("TIFF", compression="tiff_adobe_deflate"),
    "TIFF of JPEG": pillow("TIFF", compression="jpeg"),
    "GIF": encode(".gif"),
}


@pytest.mark.parametrize("filling", FILLINGS)
@pytest.mark.parametrize("kind", DAMAGED)
def test_an_overwritten_stretch_is_damage(kind: str, filling: str, capfd: pytest.CaptureFixture[str]) -> None:
    data = DAMAGED[kind]
    assert decode_image(data, "a").shape == NOISE.shape
    for start in (0.3, 0.5, 0.8):
        with pytest.raises(
            ImageError, match=rf"^a: this {kind.split()[0].strip(',')} is (damaged|truncated)"
        ) as caught:
            decode_image(overwritten(data, start, FILLINGS[filling]), "a")
        assert "\n" not in str(caught.value) and "grfmt" not in str(caught.value)
    assert capfd.readouterr().err == "", "decoders' own messages are not shown"


def test_damage_is_heard_where_opencv_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    """As commands set it."""
    before = cv2.utils.logging.setLogLevel(0)
    try:
        with pytest.raises(ImageError, match="a: this TIFF is damaged"):
            decode_image(overwritten(encode(".tiff"), 0.5, bytes(400)), "a")
        assert cv2.utils.logging.getLogLevel() == 0
    finally:
        cv2.utils.logging.setLogLevel(before)
    assert capfd.readouterr().err == ""


def with_tag(tiff: bytes, tag: int, value: int) -> bytes:
    """A little-endian TIFF with another value of a tag."""
    (start,) = struct.unpack_from("<I", tiff, 4)
    for place in range(start + 2, start + 2 + 12 * int.from_bytes(tiff[start : start + 2], "little"), 12):
        if struct.unpack_from("<H", tiff, place) == (tag,):
            return tiff[: place + 8] + struct.pack("<H", value) + tiff[place + 10 :]
    raise AssertionError(tag)


JPEG, TIFF = encode(".jpg"), pillow("TIFF")
FRAME = JPEG.index(b"\xff\xc0")
UNKNOWN = {
    "JPEG of 12 bits": (JPEG[: FRAME + 4] + b"\x0c" + JPEG[FRAME + 5 :], r"\(12 bits a value\)"),
    "lossless JPEG": (JPEG[: FRAME + 1] + b"\xc3" + JPEG[FRAME + 2 :], r"\(lossless compression\)"),
    "TIFF of another compression": (with_tag(TIFF, 259, 34892), r"\(Compression scheme 34892 .* not implemented\)"),
    "TIFF of other colours": (with_tag(TIFF, 262, 32803), ""),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_opencv_does_not_know_is_not_called_damaged_alone(name: str) -> None:
    data, reason = UNKNOWN[name]
    with pytest.raises(ImageError, match=rf"of a kind that OpenCV does not decode.*{reason}.*; .*convert it to PNG"):
        decode_image(data, "a")


def half_precision_tiff(values: Any) -> bytes:
    """Colours of float16, as the tag of the samples' format says."""
    integers = encode(".tiff", values.astype(np.float16).view(np.uint16), cv2.IMWRITE_TIFF_COMPRESSION, 1)
    (start,) = struct.unpack_from("<I", integers, 4)
    count = int.from_bytes(integers[start : start + 2], "little")
    entries = integers[start + 2 : start + 2 + 12 * count]
    kept = [entries[i : i + 12] for i in range(0, len(entries), 12) if entries[i : i + 2] != b"\x53\x01"]
    end = len(integers) + len(integers) % 2
    formats = struct.pack("<HHII", 339, 3, 3, end)
    directory = struct.pack("<H", len(kept) + 1) + b"".join(sorted([*kept, formats], key=lambda e: e[1::-1])) + bytes(4)
    data = integers.ljust(end, b"\0") + struct.pack("<HHHH", 3, 3, 3, 0) + directory
    return data[:4] + struct.pack("<I", end + 8) + data[8:]


def test_half_precision_is_refused_without_a_word_of_opencv(capfd: pytest.CaptureFixture[str]) -> None:
    """Its message has several lines."""
    with pytest.raises(ImageError, match="a: this TIFF is damaged or truncated, or of a kind that OpenCV"):
        decode_image(half_precision_tiff(RAMP), "a")
    assert capfd.readouterr().err == ""


def test_bytes_that_cameras_leave_before_the_end_are_no_damage(capfd: pytest.CaptureFixture[str]) -> None:
    data = encode(".jpg")
    for count in (1, 16):
        padded = data[:-2] + bytes(count) + data[-2:]
        np.testing.assert_array_equal(decode_image(padded, "a"), decode_image(data, "a"))
    with pytest.raises(ImageError, match=r"a: this JPEG is damaged \(Corrupt JPEG data: \d+ extraneous bytes before"):
        decode_image(data[:-2] + bytes(40) + data[-2:], "a")
    profile = b"ICC_PROFILE\0\x09\x01" + bytes(100)  # part 9 of 1
    odd = data[:2] + b"\xff\xe2" + (len(profile) + 2).to_bytes(2, "big") + profile + data[2:]
    np.testing.assert_array_equal(decode_image(odd, "a"), decode_image(data, "a"))
    assert capfd.readouterr().err == ""


def test_many_threads_and_what_others_print(capfd: pytest.CaptureFixture[str]) -> None:
    """Each image gets its own messages, and lines of other threads come out, whole and once each."""
    good = encode(".jpg")
    bad = overwritten(good, 0.5, bytes(400))
    stop = threading.Event()
    printed = 0

    def chatter() -> None:
        nonlocal printed
        while not stop.is_set():
            os.write(2, f"line {printed}\n".encode())
            printed += 1
            stop.wait(0.001)

    def decode(number: int) -> str:
        try:
            return str(decode_image(bad if number % 5 == 0 else good, str(number)).shape)
        except ImageError as error:
            return str(error)[:30]

    talker = threading.Thread(target=chatter)
    talker.start()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(decode, range(200)))
    stop.set()
    talker.join()
    decode_image(good, "the last")  # after which no line is on its way
    for number, result in enumerate(found):
        assert result.startswith(f"{number}: this JPEG is damaged" if number % 5 == 0 else str(NOISE.shape)), result
    assert sorted(capfd.readouterr().err.splitlines()) == sorted(f"line {number}" for number in range(printed))


def test_a_child_of_a_decoding_process_has_its_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    def fork() -> int:
        child = os.fork()
        if child == 0:
            os.write(2, b"child\n")
            os._exit(0)
        return os.waitpid(child, 0)[1]

    assert decode_listening(fork) == (0, [])
    assert capfd.readouterr().err == "child\n"


def test_a_closed_stderr() -> None:
    saved = os.dup(2)
    os.close(2)
    try:
        assert decode_image(encode(".png"), "a").shape == NOISE.shape
    finally:
        os.dup2(saved, 2)
        os.close(saved)


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".jp2", ".pgm"])
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_more_than_8_bits_are_scaled_by_their_range(suffix: str, bits: int) -> None:
    values = np.rint(RAMP * ((1 << bits) - 1)).astype(np.uint16)
    values = values[..., 0] if suffix == ".pgm" else values
    read = decode_image(encode(suffix, values), "a")
    expected = np.broadcast_to((values.reshape(HEIGHT, WIDTH, -1) / (1 << bits) * 256).astype(np.uint8), read.shape)
    assert np.abs(read.astype(int) - expected).max() <= (1 if suffix == ".jp2" else 0)


DEEP: dict[str, tuple[bytes, float]] = {
    "TIFF of float32": (encode(".tiff", RAMP.astype(np.float32)), 1),
    "TIFF of float64": (encode(".tiff", RAMP), 1),
    "TIFF of float32, grey": (encode(".tiff", RAMP[..., 0].astype(np.float32)), 1),
    "TIFF of float32 to 255": (encode(".tiff", (255 * RAMP).astype(np.float32)), 1),
    "TIFF of uint32": (encode(".tiff", np.rint(65535 * RAMP).astype(np.uint32)), 1),
    "TIFF of int16": (encode(".tiff", np.rint(255 * RAMP).astype(np.int16)), 1),
    "Radiance": (encode(".hdr", RAMP.astype(np.float32)), 3),
    "Radiance to 5": (encode(".hdr", (5 * RAMP).astype(np.float32)), 3),
    "Radiance to 100,000": (encode(".hdr", (1e5 * RAMP).astype(np.float32)), 3),
    "PFM": (encode(".pfm", RAMP.astype(np.float32)), 1),
    "PFM, grey": (encode(".pfm", RAMP[..., 0].astype(np.float32)), 1),
    "PNG with alpha": (
        encode(".png", np.rint(65535 * np.dstack([RAMP, RAMP[..., :1]])).astype("u2")),
        1,
    ),
    "AVIF of 10 bits": (encode(".avif", np.rint(1023 * RAMP).astype("u2"), cv2.IMWRITE_AVIF_DEPTH, 10), 8),
    "AVIF of 12 bits": (encode(".avif", np.rint(4095 * RAMP).astype("u2"), cv2.IMWRITE_AVIF_DEPTH, 12), 8),
}


@pytest.mark.parametrize("name", DEEP)
def test_values_of_other_types_cover_the_bytes(name: str) -> None:
    data, tolerance = DEEP[name]
    read = decode_image(data, "a")
    expected = 255 * (np.repeat(RAMP[..., :1], 3, 2) if name.endswith("grey") else RAMP)
    assert np.abs(read - expected).max() <= tolerance


@pytest.mark.parametrize("values", [[-1, 0, 1], [0, 0.5, np.nan], [0, 1, np.inf], [0, 1, 70000]])
def test_values_of_no_range_are_refused(values: list[float]) -> None:
    image = np.tile(np.array(values, np.float32), (4, 4, 1))
    with pytest.raises(ImageError, match=r"a: expected values from 0 to 65535, or to 1, got .* of float32; scale"):
        decode_image(encode(".tiff", image), "a")


def test_a_scaled_image_is_told_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_images, "_told", set())
    twelve = encode(".png", np.rint(4095 * RAMP).astype(np.uint16))
    with caplog.at_level(logging.WARNING):
        for data in (encode(".png", np.rint(65535 * RAMP).astype(np.uint16)), twelve, twelve):
            decode_image(data, "a\nb.png")
    assert caplog.messages == [r"a\nb.png has 12-bit values in 16 bits, which are divided by 16; so are others like it"]


MODES = [("TIFF", mode) for mode in ("L", "P", "1", "CMYK", "RGBA", "LA", "YCbCr")]
MODES += [("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "P"), ("PNG", "LA"), ("PNG", "1"), ("GIF", "P"), ("WEBP", "RGBA")]


@pytest.mark.parametrize(("form", "mode"), MODES)
def test_colours_of_all_kinds_become_blue_green_and_red(form: str, mode: str) -> None:
    data = pillow(form, mode)
    with PIL.Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(image.convert("RGB"))[..., ::-1]
    assert np.abs(decode_image(data, "a").astype(int) - expected).mean() < 3


TURNS = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["AVIF", "JPEG", "PNG", "TIFF", "WEBP"])
def test_orientation(form: str, orientation: int) -> None:
    """Pillow writes an AVIF's orientation as the turns of the format itself."""
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    scene = PIL.Image.new("RGB", (64, 32))
    scene.paste((255, 255, 255), (0, 0, 32, 16))
    scene.paste((90, 90, 90), (32, 0, 64, 16))
    buffer = io.BytesIO()
    scene.save(buffer, form, exif=exif.tobytes())
    upright = np.asarray(scene if orientation == 1 else scene.transpose(TURNS[orientation]))
    read = decode_image(buffer.getvalue(), "a")
    assert read.shape == upright.shape
    assert np.abs(read.astype(int) - upright).mean() < 8
    if form == "TIFF":  # which OpenCV always turns
        return
    stored = decode_image(buffer.getvalue(), "a", upright=False)
    assert stored.shape == (32, 64, 3) and np.abs(stored.astype(int) - np.asarray(scene)).mean() < 8


def old_bmp() -> bytes:
    """With the header of OS/2: 12 bytes, sizes of 16 bits."""
    pixels = bytes(3 * HEIGHT * WIDTH)
    header = b"\x0c\0\0\0" + WIDTH.to_bytes(2, "little") + HEIGHT.to_bytes(2, "little") + b"\x01\0\x18\0"
    return b"BM" + (26 + len(pixels)).to_bytes(4, "little") + bytes(4) + b"\x1a\0\0\0" + header + pixels


def big_tiff() -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(NOISE).save(buffer, "TIFF", big_tiff=True)
    return buffer.getvalue()


SIZED: dict[str, bytes] = {
    **{suffix: encode(suffix) for suffix in (".jpg", ".png", ".bmp", ".tiff", ".gif", ".jp2", ".avif", ".ppm", ".pam")},
    "progressive": encode(".jpg", NOISE, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "WebP": encode(".webp", NOISE, cv2.IMWRITE_WEBP_QUALITY, 80),
    "WebP, lossless": encode(".webp", NOISE, cv2.IMWRITE_WEBP_QUALITY, 101),
    "WebP with alpha": encode(".webp", np.dstack([NOISE, NOISE[..., 0]]), cv2.IMWRITE_WEBP_QUALITY, 80),
    "PBM": encode(".pbm", NOISE[..., 0]),
    "PFM": encode(".pfm", NOISE.astype(np.float32)),
    "HDR": encode(".hdr", NOISE.astype(np.float32)),
    "PPM with comments": b"P6 # made by\n# hand\n128 #wide\n96\n255\n" + NOISE.tobytes(),
    "BMP, top down": encode(".bmp")[:22] + (-HEIGHT).to_bytes(4, "little", signed=True) + encode(".bmp")[26:],
    "BMP of OS/2": old_bmp(),
    "TIFF of Pillow": pillow("TIFF"),
    "BigTIFF": big_tiff(),
}


@pytest.mark.parametrize("name", SIZED)
def test_a_limit_is_kept_before_anything_is_decoded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = SIZED[name]
    found = recognise(data)
    assert found is not None and found.read_size(data) == (WIDTH, HEIGHT)
    monkeypatch.setenv("YOLACT_MAX_PIXELS", str(WIDTH * HEIGHT))
    assert decode_image(data, "a").shape == NOISE.shape
    monkeypatch.setenv("YOLACT_MAX_PIXELS", str(WIDTH * HEIGHT - 1))
    monkeypatch.setattr(decoding.cv2, "imdecode", None)
    with pytest.raises(ImageError, match=rf"^a: this {found.name} has 128x96 pixels, expected at most 12,287 in all"):
        decode_image(data, "a")


def test_the_limit_holds_for_c_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLACT_MAX_PIXELS", "100")
    with pytest.raises(ImageError, match="image: this PNG has 128x96 pixels"):
        bridge.decode(encode(".png"))


def test_a_small_file_of_a_huge_image_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    png = bytearray(encode(".png", np.zeros((4, 4), np.uint8)))
    png[16:24] = (40_000).to_bytes(4, "big") * 2
    monkeypatch.setattr(decoding.cv2, "imdecode", None)
    with pytest.raises(ImageError, match=r"40000x40000 pixels, expected at most 200,000,000 in all; .*--max-pixels"):
        decode_image(bytes(png), "a")


OUT_OF_MEMORY = """
import resource, sys
from pathlib import Path
from yolact.runtime.capi import bridge
from yolact.runtime.errors import ImageError
from yolact.runtime.images.decoding import decode_image
data = Path(sys.argv[1]).read_bytes()
decode_image(data, "a")
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 50_000_000, resource.RLIM_INFINITY))
try:
    decode_image(data, "a")
except ImageError as error:
    print(bridge.explain(error)[0], error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason=missing.LINUX)
def test_memory_that_runs_out_is_no_fault_of_the_image(tmp_path: Path) -> None:
    """In a process of its own: one that has run other tests may keep enough freed memory to decode the image from."""
    image = tmp_path / "a.png"
    image.write_bytes(encode(".png", np.zeros((6000, 6000), np.uint8)))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    run = subprocess.run(
        [sys.executable, "-c", OUT_OF_MEMORY, str(image)], env=environment, capture_output=True, text=True, check=True
    )
    # The first number is YOLACT_ERROR_MEMORY, for which the service answers 503.
    assert run.stdout.startswith("6 a: there is not enough memory to decode it"), run


@pytest.mark.parametrize("text", ["0", "-5", "many", "1e9", "²", " 7"])
def test_a_limit_that_is_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLACT_MAX_PIXELS", text)
    with pytest.raises(UsageError, match="YOLACT_MAX_PIXELS: expected a number of pixels, more than 0, got "):
        decode_image(encode(".png"), "a")


@pytest.mark.parametrize("name", SIZED)
def test_headers_that_end_early_or_lie_are_errors(name: str) -> None:
    """Whatever stands in the first bytes; seeded."""
    random = np.random.default_rng(3)
    for _ in range(20):
        data = bytearray(SIZED[name][: int(random.integers(2, 200))])
        data[int(random.integers(len(data)))] = int(random.integers(256))
        with pytest.raises(ImageError):
            decode_image(bytes(data), "a")
