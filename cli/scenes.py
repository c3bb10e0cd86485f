"""The command `yolact-scenes`: an annotated synthetic dataset in files."""

from __future__ import annotations

from pathlib import Path

import click

from yolact import __version__
from yolact.cli.command import reports_errors


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--count", type=click.IntRange(min=1), default=100, help="Pictures.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Another seed gives other scenes.")
@click.option("--height", type=click.IntRange(min=64), default=288, help="Pixels.")
@click.option("--width", type=click.IntRange(min=64), default=384, help="Pixels.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default=Path("scenes"), help="Folder.")
@click.version_option(__version__)
@reports_errors
def main(count: int, seed: int, height: int, width: int, output: Path) -> None:
    """Draw pictures of textured shapes that overlap, with their exact masks as annotations in COCO's format.

    Writes images/ and annotations.json into the output folder.
    """
    from yolact.training.data.scene_files import ANNOTATION_FILE, IMAGE_FOLDER, write_scenes

    write_scenes(output, count, seed, (height, width))
    click.echo(f"wrote {count} pictures to {output / IMAGE_FOLDER} and {output / ANNOTATION_FILE}")


if __name__ == "__main__":
    main()
