"""The command `yolact-scenes`: an annotated synthetic dataset in files."""

from __future__ import annotations

from pathlib import Path

import click

from yolact.cli.command import command, say
from yolact.cli.options.common import folder_option
from yolact.cli.options.values import AT_LEAST_1


@command("yolact-scenes")
@click.option("--count", type=AT_LEAST_1, default=100, help="Pictures.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Another seed gives other scenes.")
@click.option("--height", type=click.IntRange(min=64), default=288, help="Pixels.")
@click.option("--width", type=click.IntRange(min=64), default=384, help="Pixels.")
@folder_option("scenes", "Folder to write; created if needed.")
def main(count: int, seed: int, height: int, width: int, output: Path) -> None:
    """Draw pictures of textured shapes that overlap, with their exact masks as annotations in COCO's format.

    Writes images/ and annotations.json into the output folder, in the place of scenes of an earlier run. A folder with
    other pictures is refused.

    Exit codes: 0 done, 1 the folder cannot be written to, 2 wrong usage, 130 interrupted.
    """
    from yolact.training.data.scene_files import ANNOTATION_FILE, IMAGE_FOLDER, write_scenes

    write_scenes(output, count, seed, (height, width))
    say(f"wrote {count} pictures to {output / IMAGE_FOLDER} and {output / ANNOTATION_FILE}")


if __name__ == "__main__":
    main()
