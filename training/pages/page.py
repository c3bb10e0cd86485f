"""HTML pages that need no other file: the style that reports share, tables and pictures in them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from string import Template


def render_page(title: str, parts: Iterable[str]) -> str:
    """A page of these parts, which are HTML; the title is text."""
    template = Template((files("yolact.training.pages") / "page.html").read_text(encoding="utf-8"))
    return template.substitute(title=text(title), body="\n".join(parts))


def figure(jpeg: bytes, caption: str, alternative: str) -> str:
    """A picture from a JPEG file; both texts are escaped."""
    source = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
    return f'<figure><img src="{source}" alt="{text(alternative)}"><figcaption>{text(caption)}</figcaption></figure>'


def table(
    titles: Sequence[str],
    rows: Iterable[Sequence[str]],
    marks: dict[str, str] | None = None,
    marked: str | None = None,
) -> str:
    """A table; `marks` are CSS classes of cells by their text, `marked` the first cell of a row to stand out."""
    head = "".join(f'<th scope="col">{text(title)}</th>' for title in titles)
    lines = []
    for row in rows:
        cells = "".join(f'<td class="{(marks or {}).get(cell, _kind(cell))}">{text(cell)}</td>' for cell in row)
        lines.append(f'<tr class="suspect">{cells}</tr>' if row[0] == marked else f"<tr>{cells}</tr>")
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _kind(cell: str) -> str:
    """The CSS class of a cell: numbers are set flush right."""
    try:
        float(cell)
    except ValueError:
        return "number" if cell == "-" else "text"
    return "number"


def text(value: str) -> str:
    """The text escaped for HTML; invalid characters in the name of a file become question marks."""
    return escape(value.encode(errors="replace").decode())
