"""Writes the tables and charts of the documents from the results of benchmarks, so that no figure is typed by hand.

python -m benchmarks.tables [--check]
"""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.tables.documents import redraw, rewrite
from benchmarks.tables.results import PICTURES
from yolact.cli.command import reports_errors
from yolact.runtime.errors import YolactError
from yolact.runtime.output_files import write_output


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 if a table differs from its result.")
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(__file__).resolve().parents[2],
    help="The repository.  [default: this one]",
)
@reports_errors
def main(check: bool, root: Path) -> None:
    """Bring the tables and charts in README.md and docs/ up to date with benchmarks/results."""
    documents = {path: rewrite(root, path) for path in (root / "README.md", *sorted((root / "docs").rglob("*.md")))}
    outdated = {path: text for path, (text, stale) in documents.items() if stale}
    for path in outdated:
        click.echo(f"{path.relative_to(root)}: {'stale' if check else 'wrote'} {', '.join(documents[path][1])}")
    for picture, text in _outdated_pictures(root).items():
        click.echo(f"{picture}: {'stale' if check else 'wrote'} the chart")
        outdated[root / picture] = text
    if check and outdated:
        raise YolactError("tables differ from the results of benchmarks; run python -m benchmarks.tables")
    for path, text in outdated.items():
        write_output(path, text.encode())


def _outdated_pictures(root: Path) -> dict[Path, str]:
    """The charts whose files differ from their results; a chart whose result is gone stays."""
    drawn = {picture: redraw(root, picture) for picture in PICTURES}
    return {
        picture: text
        for picture, text in drawn.items()
        if text is not None and not ((root / picture).is_file() and (root / picture).read_text("utf-8") == text)
    }


if __name__ == "__main__":
    main()
