"""JPEGs by nvImageCodec, of which the decoder for CPUs runs here: what OpenCV makes of them, and the same refusals."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import cv2
import exif_pictures
import missing
import numpy as np
import pytest
from scripted_engine import infer, read_json, start, write_photo

from yolact.runtime.errors import ImageError, UsageError
from yolact.runtime.images import decoder_choice, gpu_decoder
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.decoding import decode_image
from yolact.runtime.packages import PackageMissing

IS_HERE = find_spec("nvidia") is not None and find_spec("nvidia.nvimgcodec") is not None
needs_it = pytest.mark.skipif(not IS_HERE, reason=missing.NVIMGCODEC)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """What nvImageCodec was given to decode."""
    given: list[bytes] = []
    decode = gpu_decoder.decode_jpeg

    def note(data: bytes, *, upright: bool) -> tuple[Image | None, list[str]]:
        given.append(data)
        return decode(data, upright=upright)

    monkeypatch.setattr("yolact.runtime.images.decoding.decode_jpeg", note)
    return given


def both(data: bytes, *, upright: bool = True) -> list[Image | str]:
    """The image, or the sentence, of OpenCV and of nvImageCodec."""
    found: list[Image | str] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in decoder_choice.DECODERS:
            patch.setenv(decoder_choice.VARIABLE, name)
            try:
                found.append(decode_image(data, "x.jpg", upright=upright))
            except ImageError as error:
                found.append(str(error))
    return found


def difference(data: bytes, *, upright: bool = True) -> int:
    expected, found = both(data, upright=upright)
    assert isinstance(expected, np.ndarray) and isinstance(found, np.ndarray), found
    assert found.shape == expected.shape and found.dtype == np.uint8 and found.flags.c_contiguous
    return int(np.abs(found.astype(int) - expected).max())


def picture(height: int, width: int) -> Image:
    small = np.random.default_rng(height).integers(0, 256, (9, 12, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(small, (width, height)), np.uint8)


def jpeg(image: Image, *flags: int) -> bytes:
    return cv2.imencode(".jpg", image, flags)[1].tobytes()


@needs_it
def test_real_photos_have_the_same_pixels(shared: Path, asked: list[bytes]) -> None:
    photos = [path.read_bytes() for path in sorted((shared / "coco" / "images").glob("*.jpg"))[:25]]
    assert [difference(photo) for photo in photos] == [0] * 25 and asked == photos


@needs_it
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (8, 8), (17, 15), (33, 250), (301, 203)])
@pytest.mark.parametrize("progressive", [0, 1])
def test_odd_sizes_and_samplings(size: tuple[int, int], progressive: int, asked: list[bytes]) -> None:
    samplings = (0x411111, 0x221111, 0x211111, 0x121111, 0x111111)
    for sampling in samplings:
        flags = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
        assert difference(jpeg(picture(*size), *flags)) == 0
    assert difference(jpeg(picture(*size)[..., 0])) == 0
    assert len(asked) == len(samplings) + 1


@needs_it
def test_four_channels(asked: list[bytes], tmp_path: Path) -> None:
    """CMYK, as Photoshop writes it: converted to BGR by other roundings."""
    pillow = pytest.importorskip("PIL.Image", reason="Pillow is not installed -- pip install Pillow")
    pillow.fromarray(picture(70, 90)).convert("CMYK").save(tmp_path / "x.jpg")
    assert difference((tmp_path / "x.jpg").read_bytes()) <= 1 and asked


@needs_it
@pytest.mark.parametrize("orientation", range(10))
def test_orientations(orientation: int) -> None:
    for order in exif_pictures.ORDERS:
        data = exif_pictures.jpeg(picture(30, 50), orientation, order)
        assert difference(data) == 0 and difference(data, upright=False) == 0


def damaged() -> dict[str, bytes]:
    whole = jpeg(picture(120, 160))
    middle = whole.index(b"\xff\xda") + (len(whole) - whole.index(b"\xff\xda")) // 2
    return {
        "empty": b"",
        "text": b"hello",
        "cut off": whole[:middle],
        "cut off with an end": whole[:middle] + b"\xff\xd9",
        "a piece is missing": whole[: middle - 40] + whole[middle:],
        "zeros inside": whole[:middle] + bytes(200) + whole[middle + 200 :],
        "a marker inside": whole[:middle] + b"\xff\xc4" + whole[middle + 2 :],
        "no tables": whole.replace(b"\xff\xdb", b"\xff\xec"),
        "nothing but an end": b"\xff\xd8\xff\xd9",
    }


@needs_it
@pytest.mark.parametrize("name", damaged())
def test_damage_is_refused_in_the_same_sentence(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    expected, found = both(damaged()[name])
    if isinstance(expected, str):
        assert found == expected and expected.startswith("x.jpg: ")
    else:  # OpenCV has no complaint either
        assert isinstance(found, np.ndarray) and np.array_equal(found, expected)
    assert capfd.readouterr().err == ""


@needs_it
def test_headers_with_changed_bytes(capfd: pytest.CaptureFixture[str]) -> None:
    """Always the same ones: refused or decoded, as by OpenCV, without a word."""
    random, differ = np.random.default_rng(1), 0
    seeds = [jpeg(picture(40, 50), cv2.IMWRITE_JPEG_PROGRESSIVE, progressive) for progressive in (0, 1)]
    for turn in range(300):
        data = bytearray(seeds[turn % 2])
        for _ in range(1 + turn % 3):
            data[random.integers(2, 630)] = random.integers(256)
        expected, found = both(bytes(data))
        differ += isinstance(expected, str) != isinstance(found, str)
    assert capfd.readouterr().err == "" and differ < 3


@needs_it
def test_nothing_is_printed_where_libraries_are_missing(engine: Path, here: Path) -> None:
    """nvImageCodec tells of each when it is loaded, which other tests have done in this process."""
    write_photo(here / "photo.jpg")
    process = start(engine, "photo.jpg", "--jpeg-decoder", "nvimgcodec")
    output, errors = process.communicate()
    assert (process.returncode, errors) == (0, "") and output.startswith("photo.jpg: 2 persons")


@needs_it
def test_the_limit_of_pixels_comes_first(monkeypatch: pytest.MonkeyPatch, asked: list[bytes]) -> None:
    monkeypatch.setenv("YOLACT_MAX_PIXELS", "599")
    expected, found = both(jpeg(picture(20, 30)))
    assert found == expected and "has 30x20 pixels" in str(found) and not asked


def refuse(data: bytes, params: object) -> None:
    raise RuntimeError("CUDA Runtime failure: '#2'")


@needs_it
@pytest.mark.parametrize("decode", [lambda data, params: None, refuse])
def test_other_formats_and_what_it_does_not_decode_are_opencvs(
    monkeypatch: pytest.MonkeyPatch, asked: list[bytes], decode: Callable[..., None]
) -> None:
    assert difference(cv2.imencode(".png", picture(20, 30))[1].tobytes()) == 0 and not asked
    monkeypatch.setattr(gpu_decoder, "_decoder", lambda codec: SimpleNamespace(decode=decode))
    assert difference(jpeg(picture(20, 30))) == 0 and asked


@needs_it
def test_threads_and_forked_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [jpeg(picture(90 + index, 120)) for index in range(12)]
    expected = [decode_image(file, "x") for file in files]
    monkeypatch.setenv(decoder_choice.VARIABLE, "nvimgcodec")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda file: decode_image(file, "x"), files * 2))
    assert all(np.array_equal(one, other) for one, other in zip(found, expected * 2, strict=True))
    used = gpu_decoder._decoder(decoder_choice.load_nvimgcodec())
    process = os.fork()
    if process == 0:
        signal.alarm(20)
        is_right = np.array_equal(decode_image(files[0], "x"), expected[0])
        os._exit(0 if is_right and gpu_decoder._of_thread.decoder[1] is not used else 1)
    assert os.waitpid(process, 0)[1] == 0


@needs_it
def test_yolact_infer_finds_the_same(engine: Path, here: Path, asked: list[bytes]) -> None:
    photo = write_photo(here / "photo.jpg")
    for name in ("found.json", "chosen.json"):
        options = ("--jpeg-decoder", "nvimgcodec") if name == "chosen.json" else ()
        assert infer(engine, "photo.jpg", "--json", name, *options).exit_code == 0
        assert asked == ([photo.read_bytes()] if options else [])
    assert read_json(here / "found.json") == read_json(here / "chosen.json")
    assert decoder_choice.VARIABLE not in os.environ, "the option holds for its command alone"


def test_it_is_named_where_it_is_missing(engine: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nvidia", None)
    write_photo(here / "photo.jpg")
    result = infer(engine, "photo.jpg", "--jpeg-decoder", "nvimgcodec")
    assert result.exit_code == 1 and result.stderr.count("\n") == 1
    assert "needs nvidia-nvimgcodec; install it with: pip install" in result.stderr and "[nvimgcodec]" in result.stderr
    with pytest.raises(PackageMissing):
        decoder_choice.load_nvimgcodec()
    assert infer(engine, "photo.jpg", "--jpeg-decoder", "opencv").exit_code == 0


def test_another_decoder_is_wrong_usage(engine: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = write_photo(here / "photo.jpg")
    assert infer(engine, "photo.jpg", "--jpeg-decoder", "nvjpeg").exit_code == 2
    monkeypatch.setenv(decoder_choice.VARIABLE, "nvjpeg")
    with pytest.raises(UsageError, match="YOLACT_JPEG_DECODER: expected opencv or nvimgcodec, got 'nvjpeg'"):
        decode_image(photo.read_bytes(), "x")
    result = infer(engine, "photo.jpg")
    assert result.exit_code == 2 and "expected opencv or nvimgcodec" in result.stderr
