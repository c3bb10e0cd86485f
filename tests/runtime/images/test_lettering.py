"""Words in pictures: every script shows something that differs, emoji are boxes, nothing ends in OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from yolact.runtime.images import lettering
from yolact.runtime.images.lettering import Lettering

INK = (0, 0, 0)


def drawn(text: str, scale: float = 1.0) -> np.ndarray:
    """(60, 400, 3) with the text in black on white."""
    canvas = np.full((60, 400, 3), 255, np.uint8)
    words = Lettering(text, scale)
    words.draw(canvas, (10, 40), INK)
    inked = np.flatnonzero((canvas != 255).any(axis=(0, 2)))
    assert not inked.size or (inked[0] >= 8 and inked[-1] <= 10 + words.width + 3), "it keeps to its width"
    rows = np.flatnonzero((canvas != 255).any(axis=(1, 2)))
    assert not rows.size or (40 - words.ascent - 8 <= rows[0] and rows[-1] <= 40 + words.descent + 4)
    return canvas


def test_ascii_is_drawn_by_opencv_as_ever() -> None:
    words, expected = Lettering("dog 0.93", 0.7, 2), np.full((60, 400, 3), 255, np.uint8)
    (width, ascent), descent = cv2.getTextSize("dog 0.93", cv2.FONT_HERSHEY_SIMPLEX, 0.7, 2)
    assert (words.width, words.ascent, words.descent) == (width, ascent, descent)
    cv2.putText(expected, "dog 0.93", (10, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.7, INK, 2, cv2.LINE_AA)
    canvas = np.full((60, 400, 3), 255, np.uint8)
    words.draw(canvas, (10, 40), INK)
    np.testing.assert_array_equal(canvas, expected)


SCRIPTS = ("Äpfel", "été", "дом", "θύρα", "漢字", "かな", "한국", "שלום", "🐕", "dog 🐕", "👨‍👩‍👧", "❤️")


@pytest.mark.parametrize("text", SCRIPTS)
def test_other_scripts_are_no_question_marks(text: str) -> None:
    picture = drawn(text)
    assert (picture != 255).sum() > 60
    for count in range(1, 40):
        assert (picture != drawn("?" * count)).any()


def test_composed_and_decomposed_accents_look_the_same() -> None:
    np.testing.assert_array_equal(drawn("a\u0308pfel"), drawn("\u00e4pfel"))


def test_what_no_font_has_is_a_box() -> None:
    """A private character: the box is as wide as it says, and closed."""
    words = Lettering("\uf8ab", 1.0)
    picture = (drawn("\uf8ab") != 255).any(axis=2)
    rows, columns = np.flatnonzero(picture.any(axis=1)), np.flatnonzero(picture.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1], columns[0], columns[-1]
    assert 10 <= left < right < 10 + words.width and bottom == 40 and top == 41 - words.ascent
    assert picture[top, left : right + 1].all() and picture[bottom, left : right + 1].all()
    assert picture[top : bottom + 1, left].all() and picture[top : bottom + 1, right].all()
    assert not picture[top + 2 : bottom - 1, left + 2 : right - 1].any()
    assert Lettering("\uf8ab" * 3, 1.0).width == 3 * words.width
    assert Lettering("a\uf8abb", 1.0).width == words.width + Lettering("a", 1.0).width + Lettering("b", 1.0).width


@pytest.mark.parametrize(
    "text", ["", "a\nb", "a\ud800b", "\x00", "\x1b[2J", "\u202eabc", "x" * 3000, "\u0301", "\ufeff"]
)
@pytest.mark.parametrize("scale", [0.35, 3.0])
def test_anything_can_be_drawn(text: str, scale: float) -> None:
    """Half a surrogate pair ends OpenCV's process, and a line break takes the letters out of their line."""
    for canvas in (np.full((20, 30, 3), 255, np.uint8), np.full((1, 1, 3), 255, np.uint8)):
        words = Lettering(text, scale)
        words.draw(canvas, (3, 15), INK)
        assert words.width >= 0 and words.ascent > 0
    if "\n" in text:
        np.testing.assert_array_equal(drawn("a\nb"), drawn(r"a\nb"))


@pytest.mark.parametrize("origin", [(10, 40), (-20, 40), (390, 40), (10, -30), (10, 100), (500, 500)])
def test_fonts_of_the_system(origin: tuple[int, int]) -> None:
    """What OpenCV 4 falls back on; it keeps inside the canvas and leaves the colour around the letters."""
    if not (fonts := lettering._system_fonts()):
        pytest.skip("Pillow finds no font here; install fonts-dejavu-core to have this run")
    pen = lettering._PillowPen(fonts[0], 30)
    assert pen.has("Ä") and pen.has("a") and pen.has(" ") and not pen.has("\uf8ab")
    canvas = np.full((60, 400, 3), 200, np.uint8)
    pen.draw(canvas, "Äpfel", origin, (10, 20, 30))
    if origin == (10, 40):
        inked = np.flatnonzero((canvas != 200).any(axis=(0, 2)))
        assert inked[0] >= 8 and inked[-1] <= 12 + pen.width("Äpfel")
        assert (canvas.reshape(-1, 3) == (10, 20, 30)).all(axis=1).sum() > 20
    assert ((canvas != 200).any()) == (origin[0] < 400 and 0 < origin[1] < 100)
