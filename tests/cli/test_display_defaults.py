"""What is shown of an image where nobody says otherwise has one home; every place that repeats it is compared here."""

from __future__ import annotations

import ast
import importlib
import re

import pytest
from repository import ROOT

from yolact.runtime.config import DISPLAY_SCORE_THRESHOLD, DISPLAY_TOP_K, PostprocessConfig

SCORE, TOP_K = re.escape(f"{DISPLAY_SCORE_THRESHOLD:g}"), str(DISPLAY_TOP_K)

TOLD = {
    "runtime/capi/yolact.h": [rf"#define YOLACT_OPTIONS_DEFAULT {{sizeof\(yolact_options\), {SCORE}f, 0, NULL"],
    "docs/how-to/c-api.md": [
        rf"that score above {SCORE};",
        rf"`yolact-infer` shows {TOP_K} of an image",
        rf"`top_k = {TOP_K}`",
    ],
    "docs/how-to/diff.md": [rf"`--score-threshold` \({SCORE}, as the official display\)"],
    "README.md": [rf"score_threshold={SCORE}\)"],
    "docs/how-to/python.md": [rf"detector\(image, score_threshold={SCORE}\)"],
    "docs/how-to/infer.md": [rf"\[--score-threshold {SCORE}\] \[--top-k {TOP_K}\]"],
    "docs/how-to/export.md": [
        rf"\[--score-threshold {PostprocessConfig().score_threshold}\] "
        rf"\[--nms-threshold {PostprocessConfig().nms_threshold}\] \[--nms-top-k {PostprocessConfig().top_k}\] "
        rf"\[--max-detections {PostprocessConfig().max_detections}\] ",
    ],
    "runtime/detector.py": [rf"select\(score_threshold={SCORE}\)"],
    "examples/pycuda_stream.py": [rf"select\(score_threshold={SCORE}\)"],
    "examples/c_service/options.c": [
        rf"--score-threshold X .*\[{SCORE}\]",
        rf"--top-k N .*\[{TOP_K}\]",
        rf"detector\.top_k = {TOP_K};",
    ],
}


@pytest.mark.parametrize("file", TOLD)
def test_where_it_is_told(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    for pattern in TOLD[file]:
        assert re.search(pattern, text), pattern


def test_the_commands_take_it_from_its_home() -> None:
    defaults = {
        (name, parameter.name): parameter.default
        for name in ("infer", "explain", "diff", "export", "triton")
        for parameter in importlib.import_module(f"yolact.cli.{name}").main.params
    }
    assert defaults["infer", "score_threshold"] == defaults["explain", "score_threshold"] == 0.15
    assert defaults["diff", "score_threshold"] == DISPLAY_SCORE_THRESHOLD == 0.15
    assert defaults["infer", "top_k"] == defaults["triton", "top_k"] == DISPLAY_TOP_K == 15
    assert defaults["triton", "score_threshold"] == DISPLAY_SCORE_THRESHOLD
    assert defaults["export", "score_threshold"] == PostprocessConfig().score_threshold == 0.05


def test_no_other_module_has_the_number() -> None:
    rooms = ("batch", "calib", "cli", "diff", "engines", "export", "runtime", "serving", "training")
    places = [
        path.relative_to(ROOT).as_posix()
        for room in rooms
        for path in (ROOT / room).rglob("*.py")
        if path.parent.name not in ("scenes", "stability")  # lengths, shades and changes of made-up pictures
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value == DISPLAY_SCORE_THRESHOLD
    ]
    assert places == ["runtime/config.py"]
