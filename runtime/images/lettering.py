"""Words in pictures, in any script: with OpenCV's font, or with a font of the system that has more characters.

OpenCV 5 brings a font with most scripts. That of OpenCV 4 has ASCII alone and draws a question mark for every other
byte; there Pillow, where it is installed, finds a font of the system. Characters that no font has become boxes.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from yolact.runtime.images.arrays import Image
from yolact.runtime.wording import printable

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Color = tuple[int, int, int]
"""Blue, green, red in [0, 255]."""

_SYSTEM_FONTS = (
    *("NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "NotoSans-Regular.ttf", "DejaVuSans.ttf"),  # Linux
    *("Arial Unicode.ttf", "PingFang.ttc", "Arial.ttf"),  # macOS
    *("msyh.ttc", "malgun.ttf", "segoeui.ttf", "arial.ttf"),  # Windows
)
"""Fonts with many characters, of which a system has one or another; Pillow knows the folders."""

_PIXELS_OF_SCALE = 30
"""Size of a font whose letters are as high as OpenCV's at scale 1."""

_BOX_WIDTH = 0.62
"""Width of the box that stands for a character, in heights of a capital letter; a sixth of it is space around it."""

_NO_CHARACTER = "\uffff"


class _Pen(Protocol):
    """Draws with one font at one size."""

    def has(self, character: str) -> bool: ...

    def width(self, text: str) -> int: ...

    def draw(self, canvas: Image, text: str, origin: tuple[int, int], color: Color) -> None: ...


class Lettering:
    """One line of text at one size, measured and drawn."""

    def __init__(self, text: str, scale: float, stroke: int = 1, font: int = cv2.FONT_HERSHEY_SIMPLEX) -> None:
        """The measures are the attributes `width`, `ascent` above the foot of the letters and `descent` below.

        Args:
            text: anything; what cannot be shown in one line is escaped, see `printable`.
            scale: OpenCV's; capital letters are about 20 times as many pixels high.
            stroke: thickness of letters in OpenCV's font, pixels.
            font: one of OpenCV's.
        """
        text = unicodedata.normalize("NFC", printable(text))
        self._pen = _choose_pen(text, scale, stroke, font)
        self._pieces = tuple(_pieces(text, self._pen))
        is_plain = self._pieces == (text,) and isinstance(self._pen, _OpenCvPen)
        (_, self.ascent), self.descent = cv2.getTextSize(text if is_plain else "Hg", font, scale, stroke)
        self._stroke, self._box = stroke, max(3, round(_BOX_WIDTH * self.ascent))
        self.width = sum(self._box if piece is None else self._pen.width(piece) for piece in self._pieces)

    def draw(self, canvas: Image, origin: tuple[int, int], color: Color) -> None:
        """Draw in place with the foot of the letters at `origin` (x, y); what lies outside the canvas is cut off."""
        x, y = origin
        for piece in self._pieces:
            if piece is not None:
                self._pen.draw(canvas, piece, (x, y), color)
                x += self._pen.width(piece)
            else:
                space = max(1, self._box // 6)
                cv2.rectangle(canvas, (x + space, y - self.ascent + 1), (x + self._box - space, y), color, self._stroke)
                x += self._box


def _pieces(text: str, pen: _Pen) -> Iterator[str | None]:
    """The pieces of the text that the pen can draw, and None for each character that it lacks."""
    known = ""
    for character in text:
        if pen.has(character):
            known += character
        elif not _is_invisible(character):
            if known:
                yield known
            yield None
            known = ""
    if known:
        yield known


def _choose_pen(text: str, scale: float, stroke: int, font: int) -> _Pen:
    """OpenCV's, unless another has more of the characters."""
    opencv = _OpenCvPen(scale, stroke, font)
    missing = [character for character in text if not opencv.has(character) and not _is_invisible(character)]
    pens = (_PillowPen(name, round(_PIXELS_OF_SCALE * scale)) for name in _system_fonts()) if missing else ()
    chosen: _Pen = opencv
    least = len(missing)
    for pen in pens:
        lacks = sum(not pen.has(character) and not _is_invisible(character) for character in text)
        if lacks < least:
            least, chosen = lacks, pen
    return chosen


def _is_invisible(character: str) -> bool:
    """Whether a character only changes or joins its neighbours, as accents and parts of an emoji do."""
    return unicodedata.category(character) in ("Mn", "Me", "Cf")


class _OpenCvPen:
    def __init__(self, scale: float, stroke: int, font: int) -> None:
        self._scale, self._stroke, self._font = scale, stroke, font

    def has(self, character: str) -> bool:
        return _opencv_has(character)

    def width(self, text: str) -> int:
        return int(cv2.getTextSize(text, self._font, self._scale, self._stroke)[0][0])

    def draw(self, canvas: Image, text: str, origin: tuple[int, int], color: Color) -> None:
        cv2.putText(canvas, text, origin, self._font, self._scale, color, self._stroke, cv2.LINE_AA)


@functools.cache
def _opencv_has(character: str) -> bool:
    """OpenCV draws a question mark for a character that it lacks; OpenCV 4 one for every byte."""
    if " " <= character <= "~":
        return True
    count = len(character.encode())
    return all(not np.array_equal(_shape_of(character), _shape_of("?" * n)) for n in (1, count))


def _shape_of(text: str) -> Image:
    canvas = np.zeros((40, 120, 3), np.uint8)
    cv2.putText(canvas, text, (2, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255, 255, 255), 1)
    return canvas


@functools.cache
def _system_fonts() -> tuple[str, ...]:
    """The fonts that Pillow finds; none where it is not installed."""
    try:
        from PIL import ImageFont
    except ImportError:
        return ()
    found = []
    for name in _SYSTEM_FONTS:
        try:
            ImageFont.truetype(name, 20)
        except (OSError, ImportError):  # no such font, or a Pillow without FreeType
            continue
        found.append(name)
    return tuple(found)


class _PillowPen:
    def __init__(self, name: str, size: int) -> None:
        self._name, self._font = name, _system_font(name, max(1, size))

    def has(self, character: str) -> bool:
        return _system_font_has(self._name, character)

    def width(self, text: str) -> int:
        return round(self._font.getlength(text))

    def draw(self, canvas: Image, text: str, origin: tuple[int, int], color: Color) -> None:
        from PIL import Image as PillowImage
        from PIL import ImageDraw

        left, top, right, bottom = (round(side) for side in self._font.getbbox(text, anchor="ls"))
        x, y = origin
        height, width = canvas.shape[:2]
        rows = slice(max(0, y + top - 1), max(0, min(height, y + bottom + 2)))
        columns = slice(max(0, x + left - 1), max(0, min(width, x + right + 2)))
        part = canvas[rows, columns]
        if not part.size:
            return
        strokes = PillowImage.new("L", (part.shape[1], part.shape[0]))
        start = (x - columns.start, y - rows.start)
        ImageDraw.Draw(strokes).text(start, text, fill=255, font=self._font, anchor="ls")
        opacity = np.asarray(strokes, np.float32)[:, :, None] / 255
        part[...] = np.rint(part * (1 - opacity) + np.array(color, np.float32) * opacity)


@functools.lru_cache(maxsize=64)
def _system_font(name: str, size: int) -> FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.truetype(name, size)


@functools.cache
def _system_font_has(name: str, character: str) -> bool:
    font = _system_font(name, 20)
    lacking, drawn = font.getmask(_NO_CHARACTER), font.getmask(character)
    return character.isspace() or (drawn.size, bytes(drawn)) != (lacking.size, bytes(lacking))
