"""Takes the files of the repository that pages link to into the site, below `repository/`.

Pages link to sources, results and READMEs by relative paths, which lead out of docs/ and work in a clone and on a code
host. A site has only what lies in docs/, so such files are added to it, READMEs as pages, whose own links count too. So
every link of a page leads somewhere without a network, and `mkdocs build --strict` checks all of them.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

PREFIX = "repository/"
FENCE = re.compile(r"^(```|~~~).*?^\1[ \t]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<=\]\()([^)\s#]+)(?=[#)])")


def in_repository(src_uri: str) -> str:
    """Where the source of a page lies, from the repository's root."""
    return src_uri.removeprefix(PREFIX) if src_uri.startswith(PREFIX) else f"docs/{src_uri}"


def in_site(path: str) -> str:
    """Where the site has a file of the repository."""
    return path.removeprefix("docs/") if path.startswith("docs/") else PREFIX + path


def replace_links(markdown: str, replace: Callable[[str], str]) -> str:
    """The text with every relative target of a link replaced; blocks of code stay as they are."""

    def outside_code(text: str) -> str:
        return LINK.sub(lambda found: found[0] if "://" in found[0] else replace(found[0]), text)

    parts, at = [], 0
    for fence in FENCE.finditer(markdown):
        parts += [outside_code(markdown[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*parts, outside_code(markdown[at:])])


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is linked to, and what that links to."""
    root = Path(config.config_file_path).parent
    pages = [in_repository(file.src_uri) for file in files if file.src_uri.endswith(".md")]
    while pages:
        page = pages.pop()

        def add(link: str, page: str = page) -> str:
            path = posixpath.normpath(posixpath.join(posixpath.dirname(page), link))
            uri = in_site(path)
            if (root / path).is_file() and uri.startswith(PREFIX) and files.get_file_from_path(uri) is None:
                files.append(File.generated(config, uri, abs_src_path=str(root / path)))
                pages.extend([path] if path.endswith(".md") else [])
            return link

        if (root / page).is_file():
            replace_links((root / page).read_text(encoding="utf-8"), add)
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """The page with links to where the site has those files."""
    source = posixpath.dirname(in_repository(page.file.src_uri))
    folder = posixpath.dirname(page.file.src_uri)

    def rewrite(link: str) -> str:
        return posixpath.relpath(in_site(posixpath.normpath(posixpath.join(source, link))), folder or ".")

    return replace_links(markdown, rewrite)
