"""`make docs`: a site that shows every page as its text means it, and asks no other server for anything."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from repository import ROOT

mkdocs = pytest.importorskip("mkdocs.config", reason="the site needs the extra `docs`")


class Loaded(HTMLParser):
    """What a page loads by itself, its paragraphs, and the places that can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.paragraphs: list[str] = []
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "object"):
            self.loads += [value for name in ("src", "srcset", "data") if (value := values.get(name))]
        if tag == "link" and values.get("rel") not in ("canonical", "next", "prev"):
            self.loads.append(values["href"] or "")
        if tag == "p":
            self.paragraphs.append("")
        self._inside = tag == "p" or (self._inside and tag not in ("pre", "code", "ul", "table"))

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "p"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.paragraphs[-1] += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it: a link that leads nowhere would have ended it."""
    from mkdocs.commands.build import build

    folder = tmp_path_factory.mktemp("site")
    config = mkdocs.load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder))
    assert config.strict
    config.plugins.on_startup(command="build", dirty=False)
    build(config)
    return folder


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        loads = Loaded(page.read_text(encoding="utf-8")).loads
        assert len(loads) > 3 and not [one for one in loads if "//" in one], page
    for sheet in site.rglob("*.css"):
        assert not re.findall(r"url\(['\"]?(?:https?:)?//|@import", sheet.read_text(encoding="utf-8")), sheet


def test_no_table_or_list_is_shown_as_text(site: Path) -> None:
    """Python-Markdown wants an empty line before a list or a table, which code hosts do not."""
    for page in site.rglob("*.html"):
        for text in Loaded(page.read_text(encoding="utf-8")).paragraphs:
            assert not re.search(r"^(\||- |\* |\d+\. )|\n(\||- |\* |\d+\. )", text), (page.name, text)


def test_every_page_is_in_the_navigation() -> None:
    named = set(re.findall(r"[\w-]+(?:/[\w-]+)*\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    assert named == {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}


def test_what_pages_link_to_is_in_the_site(site: Path) -> None:
    assert (site / "repository/runtime/capi/yolact.h").read_bytes() == (ROOT / "runtime/capi/yolact.h").read_bytes()
    assert "Instance masks over HTTP" in (site / "repository/examples/c_service/index.html").read_text()
    page = (site / "how-to/c-api.html").read_text()
    assert 'href="../repository/examples/c_service/index.html#' in page and 'href="../repository/runtime' in page


def test_the_page_for_browsers_is_in_the_site_where_it_is_built(tmp_path: Path) -> None:
    from mkdocs.commands.build import build

    text = (ROOT / "docs" / "tutorials" / "browser.md").read_text(encoding="utf-8")
    (tmp_path / "docs" / "tutorials").mkdir(parents=True)
    (tmp_path / "docs" / "tutorials" / "browser.md").write_text(text.replace("../../examples", "https://example.org"))
    hook = ROOT / "docs" / "hooks" / "browser_page.py"
    (tmp_path / "mkdocs.yml").write_text(f"site_name: a\nuse_directory_urls: false\nstrict: true\nhooks: [{hook}]\n")
    for shown in ("make web docs", 'href="../browser/index.html"'):
        config = mkdocs.load_config(str(tmp_path / "mkdocs.yml"))
        config.plugins.on_startup(command="build", dirty=False)
        build(config)
        assert shown in (tmp_path / "site" / "tutorials" / "browser.html").read_text(encoding="utf-8")
        (tmp_path / "build" / "web").mkdir(parents=True, exist_ok=True)
        (tmp_path / "build" / "web" / "index.html").write_text("<p>the page")
    assert (tmp_path / "site" / "browser" / "index.html").read_text() == "<p>the page"
