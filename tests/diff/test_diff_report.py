"""The HTML page of `yolact-diff`: what is in it, and how a real browser takes it."""

from __future__ import annotations

import base64
import itertools
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import cv2
import missing
import numpy as np
import pytest

pytest.importorskip("polygraphy", reason=missing.POLYGRAPHY)

from diff_networks import damage, export

from yolact.diff.chart import draw_chart
from yolact.diff.detection_diff import DetectionTotals, ImageDetectionDiff
from yolact.diff.engine_diff import EngineDiff, compare_engines
from yolact.diff.images import find_images
from yolact.diff.pictures import ONLY_REFERENCE, ONLY_TESTED, SHOWN, WorstImages, draw_difference
from yolact.diff.report import render_report
from yolact.diff.request import DiffRequest
from yolact.diff.tensor_diff import TensorDiff
from yolact.runtime.detections import Detections
from yolact.runtime.images.check_image import make_check_image
from yolact.runtime.images.geometry import ImageTransform
from yolact.runtime.images.image_files import write_image

CHROMIUM = shutil.which("chromium")
DAMAGED, DAMAGED_LAYER = "backbone.layers.3.1.conv.0.0", "backbone.layers.3.1.conv.0.1"
AWKWARD = "a<b>&'\"$x.png"  # a name that HTML and templates must not take for their own


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> EngineDiff:
    """A damaged network against the sound one, on four images."""
    folder = tmp_path_factory.mktemp("report")
    sound = export(folder / "sound.onnx")
    damaged = damage(sound, folder / "damaged.onnx", DAMAGED, -1.0)
    (folder / "images").mkdir()
    for index in range(4):
        name = AWKWARD if index == 0 else f"{index}.png"
        write_image(folder / "images" / name, make_check_image(120 + 20 * index, 200, index))
    images = find_images(folder / "images", None)
    return compare_engines(DiffRequest(damaged, sound, folder / "images", layers=True), images)


@pytest.fixture(scope="module")
def page(result: EngineDiff, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_report(result), encoding="utf-8")
    return path


class Reader(HTMLParser):
    """Collects tags, their attributes and the text, and sees that every tag is closed."""

    VOID = frozenset(("meta", "link", "img", "br"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID and not self.rawdata.startswith("/>", self.rawdata.find(">") - 1):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_page_needs_no_other_file(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    reader = Reader(text)
    for tag, attributes in reader.tags:
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, attributes)
        assert tag not in ("script", "iframe", "object")
        if tag == "img":
            assert attributes["alt"]
    assert "url(" not in text and "@import" not in text
    headings = [tag for tag, _ in reader.tags if re.fullmatch(r"h\d", tag)]
    assert headings.count("h1") == 1 and headings[0] == "h1"
    assert all(int(b[1]) - int(a[1]) <= 1 for a, b in itertools.pairwise(headings))


def test_the_page_tells_everything(page: Path, result: EngineDiff) -> None:
    text = " ".join(Reader(page.read_text(encoding="utf-8")).texts)
    assert "damaged.onnx against sound.onnx" in text and AWKWARD in text
    assert result.suspect is not None and result.suspect.name == DAMAGED_LAYER
    assert re.search(rf"First suspect:\s+{re.escape(DAMAGED_LAYER)}\s+adds", text)
    for gate in result.gates:
        assert gate.name in text and gate.option in text and f"{gate.measured:.4g}" in text
    failed = sum(not gate.passed for gate in result.gates)
    assert failed and re.search(rf"\b{failed} limits? not kept", text)
    for diff in result.layers:
        assert diff.name in text
    assert result.command is not None and result.command in text
    assert f"All {len(result.layers)} layers" in text


def test_the_worst_images_are_shown_worst_first(page: Path, result: EngineDiff) -> None:
    badness = {name: diff.badness for name, diff in result.images}
    ranked = sorted(badness.values(), reverse=True)[:SHOWN]
    assert [image.diff.badness for image in result.worst] == ranked and ranked[0] > 0
    images = [attributes["src"] for tag, attributes in Reader(page.read_text()).tags if tag == "img"]
    assert len(images) == 3 * SHOWN
    sizes = set()
    for source in images:
        data = np.frombuffer(base64.b64decode(str(source).split(",")[1]), np.uint8)
        sizes.add(cv2.imdecode(data, cv2.IMREAD_COLOR).shape[1])
    assert sizes == {200}


def boxes(*rows: tuple[float, float, float, float]) -> Detections:
    """One class, masks that fill the boxes, in an image of 40x80 pixels on a grid of 20x20."""
    masks = np.zeros((len(rows), 20, 20), np.float32)
    for mask, (left, top, right, bottom) in zip(masks, rows, strict=True):
        mask[int(top / 2) : int(bottom / 2), int(left / 4) : int(right / 4)] = 1
    scores, ids = np.linspace(0.9, 0.5, len(rows), dtype=np.float32), np.zeros(len(rows), np.int32)
    return Detections(np.array(rows, np.float32).reshape(-1, 4), scores, ids, None, masks, ImageTransform((40, 80)))


def test_the_difference_shows_what_only_one_side_has() -> None:
    image = np.full((40, 80, 3), 100, np.uint8)
    spurious, missed = boxes((0, 0, 32, 40)), boxes((48, 0, 80, 40))
    picture = draw_difference(image, spurious, missed, ImageDetectionDiff((), (0,), (0,))).astype(int)
    assert np.ptp(picture[20, 40]) == 0  # grey where neither has anything
    for x, color in ((16, ONLY_TESTED), (64, ONLY_REFERENCE)):
        distances = [np.abs(picture[20, x] - other).sum() for other in (color, ONLY_TESTED, ONLY_REFERENCE)]
        assert distances[0] == min(distances) and np.ptp(picture[20, x]) > 40


def test_few_pictures_are_kept() -> None:
    worst = WorstImages(0.15)
    image = np.zeros((40, 80, 3), np.uint8)
    for missed in (1, 0, 2, 1, 2):
        found = boxes(*[(8.0 * i, 0, 8.0 * i + 8, 40) for i in range(missed)])
        worst.add(f"{missed}", image, boxes(), found, ImageDetectionDiff((), tuple(range(missed)), ()))
    assert [entry.name for entry in worst.images] == ["2", "2", "1"]


@pytest.mark.parametrize("suspect", [0, 1, 2, None])
def test_the_chart_is_svg_whatever_the_numbers(suspect: int | None) -> None:
    layers = [TensorDiff("images<&"), TensorDiff("proto_net.0"), TensorDiff("P3/prediction_layers.0.bbox_layer")]
    layers[0].add(np.array([np.nan]), np.ones(1))
    layers[1].add(np.array([3e6]), np.ones(1))
    layers[2].add(np.ones(1), np.ones(1))
    layers[1].add_own(np.array([np.inf]), np.ones(1))
    chart = draw_chart(layers, None if suspect is None else layers[suspect])
    root = ElementTree.fromstring(chart)
    numbers = [float(x) for x in re.findall(r' (?:x|y|width|height)\d?="([^"]*)"', chart)]
    assert np.isfinite(numbers).all() and min(numbers) >= 0
    titles = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}title")]
    assert [title.split(":")[0] for title in titles] == [layer.name for layer in layers]
    assert chart.count("var(--fail)") == (0 if suspect is None else 3)


def test_nothing_found_is_a_page_too(result: EngineDiff) -> None:
    request = DiffRequest(result.request.tested, result.request.reference)
    empty = EngineDiff(
        request, result.names, 128, [], [], [("a", ImageDetectionDiff((), (), ()))], None, [], None, ["nothing here"]
    )
    text = " ".join(Reader(render_report(empty)).texts)
    assert empty.passed and "within all limits" in text and "nothing here" in text
    assert empty.totals == DetectionTotals(images=1) and "made-up scenes" in text


@pytest.mark.skipif(CHROMIUM is None, reason=missing.program("chromium"))
def test_a_browser_shows_it(page: Path, tmp_path: Path) -> None:
    chromium = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    chromium += ["--enable-logging=stderr", "--window-size=1200,2000", "--hide-scrollbars"]
    picture = tmp_path / "page.png"
    shot = subprocess.run(
        [*chromium, f"--screenshot={picture}", page.as_uri()], capture_output=True, text=True, timeout=90
    )
    assert shot.returncode == 0 and "CONSOLE" not in shot.stderr, shot.stderr
    pixels = cv2.imread(str(picture))
    assert pixels.shape == (2000, 1200, 3)
    red, blue = (np.abs(pixels.astype(int) - color).sum(axis=2) < 30 for color in ((38, 14, 164), (230, 70, 20)))
    assert red.sum() > 1000 and blue.sum() > 500  # the verdict, and the line of the chart
    dump = subprocess.run([*chromium, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=90)
    assert "not kept</p>" in dump.stdout and DAMAGED_LAYER in dump.stdout
    assert "</svg>" in dump.stdout and "Repeat it with Polygraphy" in dump.stdout
