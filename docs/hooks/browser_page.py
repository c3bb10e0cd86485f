"""Takes the page that runs a model in the browser into the site, where `make web` has built it.

The page needs npm, and the site must not. So a page of the documents asks with `<!-- insert: browser -->` for a link to
it, and gets the command that builds it where it is not there.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

BUILT = Path("build", "web")
FOLDER = "browser/"
"""Of the site."""

MARKER = re.compile(r"^<!-- insert: browser -->$", re.MULTILINE)


def built(config: MkDocsConfig) -> Path:
    """Where `make web` writes; the folder may not be there."""
    return Path(config.config_file_path).parent / BUILT


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the built page as it is."""
    folder = built(config)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            uri = FOLDER + path.relative_to(folder).as_posix()
            files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: object) -> str:
    """The page with a link to the built one, or with what to do where there is none."""
    up = "../" * page.file.src_uri.count("/")
    link = f"**[Open the page]({up}{FOLDER}index.html)**"
    without = "This copy of the site has no such page: `make web docs` builds it into the site."
    return MARKER.sub(link if (built(config) / "index.html").is_file() else without, markdown)
