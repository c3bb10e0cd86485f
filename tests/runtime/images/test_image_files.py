"""Reading: what must simply work, and what must be refused in one sentence."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from yolact.runtime.errors import ImageError, YolactError
from yolact.runtime.images.decoding import as_promised, decode_image
from yolact.runtime.images.image_files import read_image, write_image

EOI = b"\xff\xd9"


def encode(image: np.ndarray, suffix: str, *parameters: int) -> bytes:
    ok, data = cv2.imencode(suffix, image, parameters)
    assert ok
    return data.tobytes()


def scene(height: int = 40, width: int = 60) -> np.ndarray:
    """Black but for a white upper left quarter."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = 255
    return image


def noise(height: int = 64, width: int = 96) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def insert_segment(jpeg: bytes, marker: int, payload: bytes) -> bytes:
    """The JPEG with a segment right after its start marker."""
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload + jpeg[2:]


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """The JPEG with an EXIF segment of one entry: tag 0x0112, a SHORT."""
    header = b"II*\0" + struct.pack("<I", 8)
    entry = struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    return insert_segment(jpeg, 0xE1, b"Exif\0\0" + header + entry)


JPEG_KINDS = {
    "baseline": (),
    "progressive": (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restarts": (cv2.IMWRITE_JPEG_RST_INTERVAL, 1),  # so that all eight markers occur
}


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".ppm"])
def test_lossless_formats_give_the_pixels_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"image{suffix}"
    path.write_bytes(encode(noise(), suffix))
    np.testing.assert_array_equal(read_image(path), noise())


@pytest.mark.parametrize("kind", JPEG_KINDS)
def test_whole_jpegs_are_accepted_with_and_without_trailing_bytes(kind: str) -> None:
    data = encode(noise(), ".jpg", *JPEG_KINDS[kind])
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(decode_image(data, "image"), expected)
    np.testing.assert_array_equal(decode_image(data + b"\0trailer" * 9, "image"), expected)


def test_photographs_of_a_camera_are_accepted(shared: Path) -> None:
    paths = sorted((shared / "coco" / "images").glob("*.jpg"))[:20]
    assert paths
    for path in paths:
        np.testing.assert_array_equal(read_image(path), cv2.imread(str(path)))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
def test_one_pixel(suffix: str) -> None:
    image = decode_image(encode(np.full((1, 1, 3), 77, np.uint8), suffix), "image")
    assert image.shape == (1, 1, 3)
    assert abs(int(image[0, 0, 0]) - 77) <= 2


def test_grayscale_fills_all_channels() -> None:
    gray = noise()[..., 0]
    np.testing.assert_array_equal(decode_image(encode(gray, ".png"), "image"), np.dstack([gray] * 3))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits_become_8_over_the_full_range(channels: int) -> None:
    deep = np.random.default_rng(1).integers(0, 1 << 16, (32, 32, channels)).astype(np.uint16)
    deep[0, 0], deep[0, 1] = 0, 65535
    image = decode_image(encode(deep, ".png"), "image")
    assert image.dtype == np.uint8
    expected = np.broadcast_to(deep[..., :3], (32, 32, 3)) / 257
    assert np.abs(image - expected).max() <= 1
    assert image[0, 0].tolist() == [0, 0, 0]
    assert image[0, 1].tolist() == [255, 255, 255]


def test_alpha_is_dropped() -> None:
    image = np.zeros((8, 8, 4), np.uint8)
    image[...] = (10, 20, 30, 0)
    assert (decode_image(encode(image, ".png"), "image") == (10, 20, 30)).all()


@pytest.mark.parametrize(
    ("orientation", "shape", "corner"),
    [
        (1, (40, 60, 3), "upper left"),
        (3, (40, 60, 3), "lower right"),
        (6, (60, 40, 3), "upper right"),
        (8, (60, 40, 3), "lower left"),
    ],
)
def test_exif_orientation_is_applied(orientation: int, shape: tuple[int, ...], corner: str) -> None:
    """6 asks for a quarter turn clockwise, which takes the white quarter from the upper left to the upper right."""
    image = decode_image(with_orientation(encode(scene(), ".jpg"), orientation), "image")
    assert image.shape == shape
    quarters = {
        "upper left": image[5, 5, 0],
        "upper right": image[5, -5, 0],
        "lower left": image[-5, 5, 0],
        "lower right": image[-5, -5, 0],
    }
    assert [name for name, value in quarters.items() if value > 128] == [corner]


def test_108_megapixels() -> None:
    image = np.zeros((9000, 12000, 3), np.uint8)
    image[8000:, 11000:] = 200
    data = encode(image, ".jpg")
    del image
    read = decode_image(data, "image")
    assert read.shape == (9000, 12000, 3)
    assert abs(int(read[-10, -10, 0]) - 200) <= 2


@pytest.mark.parametrize("kind", JPEG_KINDS)
def test_a_jpeg_cut_anywhere_is_refused(kind: str) -> None:
    data = encode(noise(), ".jpg", *JPEG_KINDS[kind])
    for size in [*range(2, len(data) - 1, 97), len(data) - 2, len(data) - 1]:
        with pytest.raises(ImageError, match="is truncated"):
            decode_image(data[:size], "image")


def test_the_end_of_an_embedded_thumbnail_is_not_the_end_of_the_image() -> None:
    thumbnail = encode(noise(16, 16), ".jpg")
    data = insert_segment(encode(noise(), ".jpg"), 0xE1, b"Exif\0\0" + thumbnail)
    assert decode_image(data, "image").shape == noise().shape
    cut = data[: len(data) * 2 // 3]
    assert EOI in cut
    with pytest.raises(ImageError, match="is truncated"):
        decode_image(cut, "image")


@pytest.mark.parametrize("suffix", [".png", ".webp", ".bmp", ".tiff"])
@pytest.mark.parametrize("part", [0.2, 0.5, 0.98])
def test_other_formats_cut_short_are_refused(suffix: str, part: float) -> None:
    data = encode(noise(), suffix)
    with pytest.raises(ImageError, match="truncated"):
        decode_image(data[: int(part * len(data))], "image")


def test_a_damaged_image_is_told_from_what_is_no_image() -> None:
    data = bytearray(encode(noise(), ".png"))
    data[60:90] = bytes(30)
    with pytest.raises(ImageError, match="this PNG is damaged"):
        decode_image(bytes(data), "image")


def test_damaged_codestreams(capfd: pytest.CaptureFixture[str]) -> None:
    """Without an end marker; and with components of several depths, of which OpenJPEG writes a line each."""
    data = encode(noise(), ".jp2")
    depth = data.index(b"\xff\x51") + 43  # of the second component
    with pytest.raises(ImageError, match=r"a: this JPEG 2000 is damaged .*does not end with EOC"):
        decode_image(data[:-2] + bytes(2), "a")
    with pytest.raises(ImageError, match="a: this JPEG 2000 is"):
        decode_image(data[:depth] + b"\x4f" + data[depth + 1 :], "a")
    assert capfd.readouterr().err == ""


def test_an_offset_that_no_file_reaches() -> None:
    with pytest.raises(ImageError, match="a: this TIFF is damaged"):
        decode_image(b"II+\0\x08\0\0\0" + b"\xff" * 8 + bytes(40), "a")


def test_pixels_of_another_shape_are_refused() -> None:
    """Whatever a decoder of OpenCV gives; a grey PFM, of which OpenCV 5 makes two dimensions, gets its channels."""
    assert decode_image(b"Pf\n5 7\n-1.0\n" + np.ones((7, 5), "<f4").tobytes(), "grey.pfm").shape == (7, 5, 3)
    for shape in ((7, 5, 4), (7, 5, 1), (0, 5, 3), (2, 7, 5, 3)):
        with pytest.raises(ImageError, match=rf"a: .*got {' x '.join(map(str, shape))} of uint8"):
            as_promised(np.zeros(shape, np.uint8), "a")


def test_a_header_that_asks_for_too_many_pixels_is_refused() -> None:
    data = bytearray(encode(noise(), ".bmp"))
    data[18:26] = struct.pack("<ii", 1 << 20, 1 << 20)
    with pytest.raises(ImageError, match="image"):
        decode_image(bytes(data), "image")


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "folder"),
        (lambda path: path.write_bytes(b""), "empty file"),
        (lambda path: path.write_text("Dear Sir or Madam,\n" * 20), "no image in a format"),
        (lambda path: path.write_bytes(bytes(4096)), "no image in a format"),
    ],
    ids=["missing", "folder", "empty", "text", "zeros"],
)
def test_what_is_no_image_file_is_refused(tmp_path: Path, prepare: Callable[[Path], object], reason: str) -> None:
    path = tmp_path / "photo.jpg"
    prepare(path)
    with pytest.raises(ImageError, match=reason) as caught:
        read_image(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_names_outside_ascii(tmp_path: Path) -> None:
    path = tmp_path / "Straße 犬.png"
    write_image(path, noise())
    np.testing.assert_array_equal(read_image(path), noise())


def test_a_failed_write_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "wide.jpg"
    path.write_bytes(b"earlier")
    with pytest.raises(ImageError, match="70000x1"):
        write_image(path, np.zeros((1, 70000, 3), np.uint8))
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_writing_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(YolactError, match="cannot write"):
        write_image(tmp_path / "file" / "image.png", noise())
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(YolactError, match="cannot write"):
        write_image(tmp_path / "taken.png", noise())
    assert {path.name for path in tmp_path.iterdir()} == {"file", "taken.png"}
