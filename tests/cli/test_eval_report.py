"""`yolact-eval --report`: a page and its figures."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import missing
import pytest
from click.testing import CliRunner, Result
from scripted_dataset import DATA, cells, scripted_dataset, write_images

from yolact.cli.eval import main
from yolact.runtime.file_digest import sha256_of

pytest.importorskip("pycocotools", reason=missing.PYCOCOTOOLS)

NAMES = ("<b>person</b>", 'dog & "cat"', "traffic light", "Bus")
HOSTILE = "<img src=x onerror=alert(1)>.png"


@pytest.fixture
def data(here: Path) -> dict[str, Any]:
    """As in `test_eval_cli`, but with names of classes and of a file that are markup."""
    content = scripted_dataset()
    for category, name in zip(content["categories"], NAMES, strict=True):
        category["name"] = name
    content["images"][2]["file_name"] = HOSTILE
    write_images(content, here / "images")
    (here / "annotations.json").write_text(json.dumps(content))
    return content


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


class Page(HTMLParser):
    """Tags that were opened, with what they refer to, and the texts between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.tags.append(tag)
        self.references += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: Any) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture
def report(engine: Path, data: dict[str, Any], here: Path) -> tuple[Result, dict[str, Any], str]:
    """What was printed, metrics.json, and the page."""
    result = run("--engine", engine, *DATA, "--report", "new/report")
    assert result.exit_code == 0, result.stderr
    folder = here / "new" / "report"
    assert sorted(path.name for path in folder.iterdir()) == ["metrics.json", "report.html"]
    return result, json.loads((folder / "metrics.json").read_text()), (folder / "report.html").read_text()


def test_the_figures_are_those_that_are_printed(report: tuple[Result, dict[str, Any], str], engine: Path) -> None:
    result, metrics, html = report
    lines = result.stdout.splitlines()
    names = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar")
    page = Page(html)
    for line, kind in ((lines[5], "box"), (lines[6], "mask")):
        printed = ["-" if metrics[kind][name] is None else f"{metrics[kind][name]:.2f}" for name in names]
        assert cells(line) == [kind, *printed]
        assert set(printed) <= set(page.texts)
        assert f"{metrics[kind]['ap_by_iou']['0.50']:.2f}" == printed[1]
    rows = {entry["name"]: entry for entry in metrics["classes"]}
    assert [(entry["id"], entry["objects"]) for entry in metrics["classes"]] == [(1, 2), (2, 2), (3, 0), (4, 1)]
    for line in lines[9:12]:
        name, *figures = cells(line)
        entry = rows[name]
        assert figures == [str(entry["objects"]), f"{entry['box_ap']:.2f}", f"{entry['mask_ap']:.2f}"]
    speed = metrics["speed"]
    assert (
        f"{speed['detector_ms']:.1f} ms to detections" in lines[-2]
        and f"{speed['mask_ms']:.1f} ms to masks" in lines[-2]
    )
    assert lines[-1].startswith(f"{speed['images_per_second']:.1f} images/s")
    assert metrics["model"]["sha256"] == sha256_of(engine)
    assert metrics["annotations"]["sha256"] == sha256_of(Path("annotations.json"))
    assert metrics["options"][0] == "yolact-eval" and "--report" in metrics["options"]
    assert {"yolact", "python", "numpy", "onnxruntime", "pycocotools"} <= metrics["versions"].keys()


def test_what_is_counted(report: tuple[Result, dict[str, Any], str]) -> None:
    """In the first image two persons and a dog are found, the Bus is missed; in the second, which is black, a dog is
    missed; in the third all that is found, without the traffic light, which scores 0.1, is wrong."""
    _, metrics, _ = report
    assert metrics["confusion"]["counts"] == [
        [2, 0, 0, 0, 0],
        [0, 1, 0, 0, 1],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1],
        [2, 1, 0, 0, 0],
    ]
    assert metrics["confusion"]["score_threshold"] == 0.15
    assert [(entry["right"], entry["wrong"]) for entry in metrics["images"]] == [(3, 1), (0, 1), (0, 3)]
    # Roots of areas: 34.6, 24.5, 21.9, 10, 20; of these 34.6, 24.5 and 21.9 are found.
    assert metrics["sizes"]["found"] == [0, 0, 2, 1, 0, 0, 0, 0]
    assert metrics["sizes"]["not_found"] == [0, 1, 1, 0, 0, 0, 0, 0]
    # All detections: 0.9, 0.8, 0.7 right, 0.9, 0.8, 0.7 and twice 0.1 wrong.
    calibration = metrics["calibration"]
    assert calibration["counts"] == [0, 2, 0, 0, 0, 0, 0, 2, 2, 2]
    assert calibration["precisions"] == [None, 0, None, None, None, None, None, 0.5, 0.5, 0.5]
    expected = (2 * 0.1 + 2 * 0.2 + 2 * 0.3 + 2 * 0.4) / 8
    assert calibration["expected_calibration_error"] == pytest.approx(expected, abs=1e-6)
    assert sum(metrics["scores"]["right"]) == 3 and sum(metrics["scores"]["wrong"]) == 5


def test_the_page_needs_nothing_else_and_says_names_as_they_are(report: tuple[Result, dict[str, Any], str]) -> None:
    _, metrics, html = report
    page = Page(html)
    assert page.open == [] and "script" not in page.tags and "b" not in page.tags
    assert all(reference.startswith("data:") for reference in page.references) and "url(" not in html
    assert re.findall(r"https?://[^\"]*", html).count("http://www.w3.org/2000/svg") == len(
        re.findall("https?://", html)
    )
    assert page.tags.count("img") == 6 and HOSTILE in page.texts  # three images with errors, twice each
    for name in NAMES[:2]:
        assert name in page.texts
    assert metrics["confusion"]["category_ids"] == [1, 2, 3, 4]


def test_an_earlier_report_is_replaced_and_other_files_stay(engine: Path, data: dict[str, Any], here: Path) -> None:
    folder = here / "report"
    folder.mkdir()
    for name in ("report.html", "metrics.json", "notes.txt"):
        (folder / name).write_text("of an earlier day")
    assert run("--engine", engine, *DATA, "--report", "report").exit_code == 0
    assert (folder / "notes.txt").read_text() == "of an earlier day"
    assert json.loads((folder / "metrics.json").read_text())["schema"] == 1
    assert (folder / "report.html").read_text().endswith("</html>\n")


def test_nothing_annotated_and_nothing_found(engine: Path, data: dict[str, Any], here: Path) -> None:
    data["annotations"].clear()
    data["images"] = data["images"][1:2]  # the black one
    (here / "annotations.json").write_text(json.dumps(data))
    assert run("--engine", engine, *DATA, "--report", "report").exit_code == 0
    metrics = json.loads((here / "report" / "metrics.json").read_text())
    assert metrics["mask"]["ap"] is None and metrics["calibration"]["expected_calibration_error"] is None
    page = Page((here / "report" / "report.html").read_text())
    assert page.open == [] and "No object is annotated, so there are no curves." in page.texts


@pytest.mark.skipif(sys.platform == "win32", reason=missing.LINUX)
def test_a_full_disk_leaves_the_earlier_report(engine: Path, data: dict[str, Any], here: Path) -> None:
    import resource

    folder = here / "report"
    folder.mkdir()
    for name in ("report.html", "metrics.json"):
        (folder / name).write_text("of an earlier day")
    command = [sys.executable, "-B", "-m", "yolact.cli.eval", "--engine", str(engine), *DATA, "--report", "report"]
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000)),  # enough for the figures
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert "error: cannot write report/report.html: File too large; free space or choose another place" in result.stderr
    assert {path.name: path.read_text() for path in folder.iterdir()} == dict.fromkeys(
        ("report.html", "metrics.json"), "of an earlier day"
    )


REJECTED: dict[str, tuple[list[str], str]] = {
    "a file": (["--report", "annotations.json"], "is a file"),
    "an input": (["--report", "."], "metrics.json is one of the inputs"),
    "the other output": (["--report", "out", "--json", "out/metrics.json"], "metrics.json is one of the inputs"),
    "a folder of that name": (["--report", "taken"], "report.html: it exists and is no regular file"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_wrong_usage(engine: Path, data: dict[str, Any], here: Path, name: str) -> None:
    arguments, reason = REJECTED[name]
    (here / "out").mkdir()
    (here / "taken" / "report.html").mkdir(parents=True)
    (here / "metrics.json").write_text((here / "annotations.json").read_text())
    result = run("--engine", engine, "--annotations", "metrics.json", "--images", "images", *arguments)
    assert (result.exit_code, result.stdout) == (2, "") and reason in " ".join(result.stderr.split())
