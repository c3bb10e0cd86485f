"""The command `yolact-scenes`: an annotated synthetic dataset in files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from yolact.cli.command import command, say
from yolact.cli.options.common import folder_option
from yolact.cli.options.values import AT_LEAST_1
from yolact.runtime.wording import count_noun

if TYPE_CHECKING:
    from yolact.training.scenes.kinds import KindName


@command("yolact-scenes")
@click.option(
    "--kind",
    type=click.Choice(["shapes", "bin"]),
    default="shapes",
    help="shapes: flat shapes that overlap; bin: machine parts in bins, by MuJoCo.",
)
@click.option("--count", type=AT_LEAST_1, default=100, help="Number of pictures or videos.")
@click.option("--frames", type=AT_LEAST_1, help="Make videos of parts on a belt, with this many frames each.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Another seed gives other scenes.")
@click.option("--height", type=click.IntRange(64, 4096), help="Height in pixels.  [default: 288, for bins 480]")
@click.option("--width", type=click.IntRange(64, 4096), help="Width in pixels.  [default: 384, for bins 640]")
@click.option("--workers", type=click.IntRange(1, 256), default=1, help="Processes that draw.")
@folder_option("scenes", "Folder to write; created if needed.")
def main(
    kind: KindName,
    count: int,
    frames: int | None,
    seed: int,
    height: int | None,
    width: int | None,
    workers: int,
    output: Path,
) -> None:
    """Draw pictures of objects that overlap, with their exact masks as annotations in COCO's format.

    Writes images/ and annotations.json into the output folder, and with --frames also each video as an MP4. They
    replace the scenes of an earlier run; a folder with other pictures is refused. In videos, an object has the same
    track_id in all frames. Parts that are hardly visible are annotated as crowd, so no model is expected to find them.

    Exit codes: 0 done, 1 the folder cannot be written to or nothing here can draw, 2 wrong usage, 130 interrupted.
    """
    from yolact.training.scenes.files import ANNOTATION_FILE, IMAGE_FOLDER, SceneRequest, write_scenes
    from yolact.training.scenes.kinds import KINDS

    usual = KINDS[kind].size
    size = (height or usual[0], width or usual[1])
    pictures = write_scenes(SceneRequest(output, count, seed, kind, size, frames or 0, workers))
    say(f"wrote {count_noun(pictures, 'picture')} to {output / IMAGE_FOLDER} and {output / ANNOTATION_FILE}")


if __name__ == "__main__":
    main()
