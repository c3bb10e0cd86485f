"""The example page that runs the demonstration model in a browser, in a real one without a window."""

from __future__ import annotations

import base64
import json
import re
import runpy
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import click
import cv2
import missing
import numpy as np
import pytest
from browser import CHROMIUM, Browser
from made_once import MakeOnce
from repository import ROOT
from waiting import wait_until
from web_serving import serving

from yolact import Detector, read_image
from yolact.runtime.images.mask_encoding import decode_rle

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason=missing.CHROMIUM),
    pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed -- install Node.js"),
]

CSP = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'"
CHROMIUMS_OWN = re.compile(r"^(http://)?[\w.-]+\.(google|googleapis|gvt1)\.com[:/]")
"""Addresses that the browser asks by itself, for the time and for updates."""

TEXT = "document.getElementById({!r}).textContent".format


@pytest.fixture(scope="module")
def page(make_once: MakeOnce) -> Path:
    """The folder of the page, built as users build it."""

    def build(folder: Path) -> None:
        command = runpy.run_path(str(ROOT / "examples" / "web" / "build.py"))["main"]
        command(["--output", str(folder / "page")], standalone_mode=False)

    try:
        return make_once("web", build) / "page"
    except click.ClickException as error:
        if "from npm" not in error.message:
            raise
        pytest.skip("npm's registry cannot be reached -- connect to it")


class Site:
    """The page on a server: what it is asked for is kept, and an answer can be another one.

    Attributes:
        asked: paths, in order.
        replaced: for a path another body, or None for "not found".
        is_down: whether it closes each connection without an answer.
        csp: the header that comes with every answer.
    """

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        self.replaced: dict[str, bytes | None] = {}
        self.csp, self.is_down = CSP, False
        site = self

        class Handler(SimpleHTTPRequestHandler):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments, directory=str(folder))

            def do_GET(self) -> None:
                site.asked.append(self.path)
                if site.is_down:
                    self.close_connection = True
                    return None
                if self.path not in site.replaced:
                    return super().do_GET()
                body = site.replaced[self.path]
                self.send_response(HTTPStatus.NOT_FOUND if body is None else HTTPStatus.OK)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")
                return None

            def end_headers(self) -> None:
                self.send_header("Content-Security-Policy", site.csp)
                super().end_headers()

            def log_message(self, *_: object) -> None:
                """Requests are kept, not told."""

        self.serving: Callable[[], AbstractContextManager[str]] = lambda: serving(Handler)


@pytest.fixture(scope="module")
def outside() -> Iterator[tuple[str, list[str]]]:
    """A proxy for all addresses but this machine's, and what it is asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def __getattr__(self, name: str) -> Any:
            if not name.startswith("do_"):
                raise AttributeError(name)
            return lambda: (asked.append(self.path), self.send_error(HTTPStatus.FORBIDDEN))

        def log_message(self, *_: object) -> None:
            """Requests are kept, not told."""

    with serving(Handler) as url:
        yield url, asked


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, outside: tuple[str, list[str]]) -> Iterator[Browser]:
    """A browser with a camera that films a test pattern."""
    quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-pings")
    options = (f"--proxy-server={outside[0]}", "--use-fake-device-for-media-stream", *quiet)
    with Browser(tmp_path_factory.mktemp("browser") / "profile", 1280, 900, *options) as browser:
        yield browser


@pytest.fixture(scope="module")
def served(page: Path) -> Iterator[tuple[Site, str]]:
    """The page on a server, and its address."""
    site = Site(page)
    with site.serving() as url:
        yield site, url


@pytest.fixture
def opened(browser: Browser, served: tuple[Site, str]) -> Browser:
    """The browser on the page, which takes seconds to start and so is left open for the next test."""
    if not browser.evaluate("location.href").startswith(served[1]):
        start(browser, served[1])
        assert browser.evaluate(TEXT("problem")) == ""
    return browser


def start(browser: Browser, url: str) -> None:
    """Open the page, and wait until it has said that it is ready or why not."""
    browser.open(f"{url}/")
    wait_until_started(browser)


def wait_until_started(browser: Browser) -> None:
    wait_until(lambda: browser.evaluate("document.body?.dataset.started === ''"))


def choose(browser: Browser, file: Path) -> None:
    """Choose a file as a user does, and wait until something is said of it."""
    browser.evaluate("document.getElementById('problem').textContent = ''")
    before = browser.evaluate(TEXT("caption"))
    root = browser.call("DOM.getDocument")["root"]["nodeId"]
    node = browser.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    browser.call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])
    wait_until(lambda: browser.evaluate(TEXT("problem")) or browser.evaluate(TEXT("caption")) != before)


def drop(browser: Browser, fill: str) -> None:
    """Drop on the page what an expression puts into `moved`."""
    event = "new DragEvent('drop', { dataTransfer: moved, bubbles: true, cancelable: true })"
    browser.evaluate(f"(() => {{ const moved = new DataTransfer(); {fill}; dispatchEvent({event}); }})()")


def saved(browser: Browser, folder: Path) -> dict[str, Any]:
    """What the page saves of its picture."""
    folder.mkdir(exist_ok=True)
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    browser.evaluate("document.getElementById('save').click()")
    wait_until((folder / "found.json").exists)
    (row,) = json.loads((folder / "found.json").read_text())
    return dict(row)


def assert_same(row: dict[str, Any], engine: Path, picture: Path) -> None:
    """What the page saved is what Python finds."""
    image = read_image(picture)
    with Detector.open(engine) as detector:
        expected = detector(image, score_threshold=0.15, top_k=15)
    found = row["detections"]
    assert (row["height"], row["width"]) == image.shape[:2] and found
    assert [one["class_id"] for one in found] == expected.class_ids.tolist()
    assert [one["class_name"] for one in found] == list(expected.class_names)
    np.testing.assert_allclose([one["score"] for one in found], expected.ranking_scores, atol=1e-3)
    for one, box, mask in zip(found, expected.boxes, expected.masks, strict=True):
        assert box_iou(np.array(one["box"]), box) >= 0.99
        drawn = np.zeros_like(mask)
        region, inside = decode_rle(one["mask"])
        drawn[region.slices] = inside
        assert (drawn & mask).sum() >= 0.98 * (drawn | mask).sum() and mask.any()


def box_iou(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    both = sides.prod()
    return float(both / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - both))


def test_the_page_finds_what_python_finds(
    opened: Browser, served: tuple[Site, str], page: Path, outside: tuple[str, list[str]], tmp_path: Path
) -> None:
    """In a sample and in a picture that is not square; nothing is asked for elsewhere, and no policy is broken."""
    first, second, *_ = json.loads((page / "settings.json").read_text())["samples"]
    own = tmp_path / "own.png"
    image = read_image(page / first["file"])
    cv2.imwrite(str(own), image[: image.shape[0] * 2 // 3, : image.shape[1] - 37])
    opened.evaluate("document.querySelectorAll('#samples button')[1].click()")
    wait_until(lambda: second["name"] in opened.evaluate(TEXT("caption")))
    assert_same(saved(opened, tmp_path / "sample"), page / "model.onnx", page / second["file"])
    choose(opened, own)
    row = saved(opened, tmp_path / "own")
    assert row["source"] == "own.png"
    assert_same(row, page / "model.onnx", own)
    assert_stages_and_prototypes(opened)
    assert_sliders_choose(opened, len(row["detections"]))
    assert [text for text in opened.complaints if "No available adapters" not in text] == []
    leaving = opened.evaluate("fetch('http://elsewhere.test/').then(() => 'went', () => 'stopped')")
    assert leaving == "stopped"
    files = {path.relative_to(page).as_posix() for path in page.rglob("*")} | {""}
    assert {path.lstrip("/") for path in served[0].asked} <= files
    assert [name for name in outside[1] if not CHROMIUMS_OWN.search(name)] == []


def test_all_files_are_kept_for_times_without_a_network(opened: Browser, served: tuple[Site, str], page: Path) -> None:
    """To start the page again takes seconds and needs nothing else."""
    assert opened.evaluate("navigator.serviceWorker.ready.then((one) => one.active !== null)")
    wait_until(lambda: opened.evaluate("navigator.serviceWorker.controller !== null"))
    names = ["", *(path.relative_to(page).as_posix() for path in page.rglob("*") if path.is_file())]
    sizes = f"Promise.all({names}.map(async (name) => (await (await fetch('/' + name)).arrayBuffer()).byteLength))"
    site = served[0]
    try:
        site.is_down = True
        got = opened.evaluate(sizes)
    finally:
        site.is_down = False
    assert got == [(page / (name or "index.html")).stat().st_size for name in names]


def assert_stages_and_prototypes(browser: Browser) -> None:
    stages = browser.evaluate("[...document.querySelectorAll('#times dt')].map((one) => one.textContent)")
    assert stages == ["decode", "resize", "network", "masks", "draw", "in all"]
    times = browser.evaluate("[...document.querySelectorAll('#times dd')].map((one) => +one.textContent)")
    assert times[-1] == pytest.approx(sum(times[:-1]), abs=0.4) and min(times) >= 0
    captions = "[...document.querySelectorAll('#prototypes p')].map((one) => one.innerText)"
    before = browser.evaluate(captions)
    browser.evaluate("document.querySelector('#detections button').click()")
    after = browser.evaluate(captions)
    assert len(before) == len(after) > 1 and before != after
    assert all("+" in caption or "\N{MINUS SIGN}" in caption for caption in after)


def assert_sliders_choose(browser: Browser, count: int) -> None:
    shown = "document.querySelectorAll('#detections li').length"
    for slider, value, expected in (("most", 1, 1), ("most", 100, count), ("threshold", 1, 0)):
        browser.evaluate(
            f"(() => {{ const one = document.getElementById('{slider}'); one.value = {value}; "
            "one.dispatchEvent(new Event('input')); })()"
        )
        wait_until(lambda expected=expected: browser.evaluate(shown) == expected)
    assert "nothing above this score" in browser.evaluate(TEXT("summary"))


def png_of(width: int, height: int, *, rows: int) -> bytes:
    """A grey PNG that announces a size and holds so many rows of it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes((width + 1) * rows)))


BAD_PICTURES = {
    "text": (
        b"no picture",
        "such as a JPEG, PNG or WebP file in bad.png, got a file that this browser cannot decode",
    ),
    "nothing": (b"", "Expected a picture in bad.png, got an empty file; choose another one."),
    "header alone": (png_of(40, 30, rows=0)[:33], "got one that is damaged; choose another one."),
    "many pixels": (
        png_of(8000, 8000, rows=1),
        "50 megapixels and 16384 pixels a side in bad.png, got 8000x8000; make",
    ),
    "a long side": (png_of(20000, 10, rows=1), "got 20000x10; make it smaller."),
    "a huge JPEG": (
        b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x0b\x08\xff\xff\xff\xff\x01\x01\x11\x00",
        "got 65535x65535; make it smaller.",
    ),
    "a huge GIF": (b"GIF89a\xff\xff\xff\xff\x00\x00\x00", "got 65535x65535; make it smaller."),
    "a huge BMP": (b"BM" + bytes(16) + struct.pack("<ii", 30000, -30000), "got 30000x30000; make it smaller."),
    "a huge WebP": (
        b"RIFF\x00\x00\x00\x00WEBPVP8X" + bytes(8) + b"\xff" * 6,
        "got 16777216x16777216; make it",
    ),
}


def test_bad_pictures_and_cameras_each_have_their_sentence(opened: Browser, tmp_path: Path) -> None:
    """And the page goes on: a picture that is dropped after them is looked at, and what the camera sees."""
    bad, good = tmp_path / "bad.png", tmp_path / "good.png"
    cv2.imwrite(str(good), np.full((20, 30, 3), 90, np.uint8))
    for data, reason in BAD_PICTURES.values():
        bad.write_bytes(data)
        choose(opened, bad)
        said = opened.evaluate(TEXT("problem"))
        assert reason in said and said.startswith("Expected ") and said.endswith("."), said
    drop(opened, "")
    wait_until(lambda: "dropped, got something else" in opened.evaluate(TEXT("problem")))
    file = f"Uint8Array.from(atob('{base64.b64encode(good.read_bytes()).decode()}'), (c) => c.charCodeAt(0))"
    drop(opened, f"moved.items.add(new File([{file}], 'dropped.png'))")
    wait_until(lambda: opened.evaluate(TEXT("caption")) == "dropped.png, 30 \N{MULTIPLICATION SIGN} 20")
    assert opened.evaluate(TEXT("problem")) == ""
    press = "document.getElementById('camera').click()"
    opened.call("Browser.setPermission", permission={"name": "camera"}, setting="denied")
    opened.evaluate(press)
    wait_until(lambda: "got a refusal; allow the camera for this page" in opened.evaluate(TEXT("problem")))
    opened.call("Browser.setPermission", permission={"name": "camera"}, setting="granted")
    opened.evaluate(press)
    wait_until(lambda: opened.evaluate(TEXT("caption")).startswith("camera, "))
    assert opened.evaluate(TEXT("camera")) == "Stop the camera"
    opened.evaluate(press)
    assert opened.evaluate(TEXT("camera")) == "Use the camera"
    opened.evaluate("navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotFoundError'))")
    opened.evaluate(press)
    wait_until(lambda: opened.evaluate(TEXT("problem")) == "Expected a camera, got none; connect one.")


SIZES = [(1, 1), (2, 300), (96, 96), (48, 192), (117, 61), (192, 192), (640, 480)]


def test_stretched_bytes_are_opencvs(opened: Browser) -> None:
    """And of an ONNX file that another program wrote, of damaged ones and of none, the page says what it is."""
    rng = np.random.default_rng(3)
    for height, width in SIZES:
        image = rng.integers(0, 256, (height, width, 3), np.uint8)
        rgba = base64.b64encode(cv2.cvtColor(image, cv2.COLOR_BGR2RGBA).tobytes()).decode()
        made = opened.evaluate(
            "import('/preprocess.js').then(({ stretch }) => { const bytes = "
            f"Uint8ClampedArray.from(atob('{rgba}'), (c) => c.charCodeAt(0)); "
            f"return Array.from(stretch(bytes, {width}, {height}, 96)); }})"
        )
        expected = cv2.resize(image, (96, 96), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(np.array(made, np.uint8).reshape(96, 96, 3), expected, f"{width}x{height}")
    for data, reason in BAD_MODELS.values():
        said = opened.evaluate(
            "import('/metadata.js').then(({ readMetadata }) => { try { "
            f"readMetadata(Uint8Array.from({list(data)})); "
            "return 'read'; } catch (error) { return error.message; } })"
        )
        assert said.startswith("Expected a model that yolact-export wrote for this page") and reason in said, said


def model_with(**props: str) -> bytes:
    """An ONNX file with metadata alone, as bytes of a protocol buffer."""

    def field(number: int, data: bytes) -> bytes:
        return bytes([8 * number + 2]) + (bytes([len(data) & 127 | 128, len(data) >> 7])) + data

    return b"".join(
        field(14, field(1, f"yolact.{key}".encode()) + field(2, value.encode())) for key, value in props.items()
    )


GOOD_PROPS = {
    "schema_version": "4",
    "graph": "full",
    "preprocessing": "BGR uint8, stretched to the square input, bilinear, no antialiasing",
    "config": '{"name": "any", "image_size": 64, "class_names": ["a"]}',
    "postprocess": '{"max_detections": 9, "score_threshold": 0.05}',
}
BAD_MODELS = {
    "none": (b"", 'schema_version "4", got "nothing"'),
    "text": (b"no model", "a file that is no ONNX model"),
    "cut off": (model_with(**GOOD_PROPS)[:-5], "a file that is no ONNX model"),
    "another schema": (model_with(**GOOD_PROPS | {"schema_version": "3"}), 'schema_version "4", got "3"'),
    "a raw graph": (model_with(**GOOD_PROPS | {"graph": "raw"}), 'graph "full", got "raw"'),
    "other images": (model_with(**GOOD_PROPS | {"preprocessing": "RGB"}), 'got "RGB"'),
    "no JSON": (model_with(**GOOD_PROPS | {"config": "{"}), "damaged metadata"),
    "no classes": (model_with(**GOOD_PROPS | {"config": '{"image_size": 64, "class_names": []}'}), "damaged metadata"),
    "no size": (model_with(**GOOD_PROPS | {"config": '{"class_names": ["a"]}'}), "damaged metadata"),
    "no limit": (model_with(**GOOD_PROPS | {"postprocess": '{"score_threshold": 0.05}'}), "damaged metadata"),
}


def damaged(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


BAD_SITES: dict[str, tuple[str, Callable[[bytes], bytes | None], str]] = {
    "no list": (
        "settings.json",
        lambda _: None,
        "the list of this page's files in the file settings.json beside this page, got \"404",
    ),
    "no model": ("model.onnx", lambda _: None, 'Expected the model in the file model.onnx beside this page, got "404'),
    "half a model": ("model.onnx", lambda data: data[: len(data) // 2], "bytes, got "),
    "a changed model": ("model.onnx", damaged, "got other contents of the same length; build the page again"),
    "no runtime": ("ort-wasm-simd-threaded.wasm.gz", lambda _: None, "Expected ONNX Runtime in the file ort-wasm-simd"),
}


def test_what_is_wrong_with_a_site_or_a_browser_is_said(browser: Browser, page: Path) -> None:
    def said(site: Site) -> str:
        with site.serving() as url:
            start(browser, url)
            text = str(browser.evaluate(TEXT("problem")))
            assert text.startswith("Expected ") and text.endswith("."), text
            browser.open("about:blank")
            return text

    for name, change, reason in BAD_SITES.values():
        site = Site(page)
        site.replaced[f"/{name}"] = change((page / name).read_bytes())
        assert reason in said(site)
    strict = Site(page)
    strict.csp = "default-src 'self'"
    assert "Expected a browser that runs WebAssembly, got one that forbids it" in said(strict)
    script = browser.call("Page.addScriptToEvaluateOnNewDocument", source="delete globalThis.WebAssembly")
    assert "Expected a browser that runs WebAssembly, got one without it" in said(Site(page))
    browser.call("Page.removeScriptToEvaluateOnNewDocument", **script)


def test_the_files_are_small_and_name_no_other_place(page: Path) -> None:
    files = [path for path in page.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 30e6
    for path in (ROOT / "examples" / "web").glob("*"):
        if path.suffix in (".html", ".css", ".js"):
            written = path.read_text(encoding="utf-8")
            assert not re.search(r"""["'`(=]\s*(https?:|wss?:|//)""", written), path
            assert "style=" not in written and "<script>" not in written and len(written.splitlines()) < 400
    assert CSP in (page / "index.html").read_text()
