"""Draws the wide picture and the clip of the README: what the demonstration model finds in the bins that ship with it.

    python examples/pictures.py [--folder docs]

The clip needs Pillow, which matplotlib brings.
"""

from __future__ import annotations

from pathlib import Path

import click
import cv2
import numpy as np
from PIL import Image as Picture

from yolact import Detections, Detector, PostprocessConfig, Tracker, annotate, read_image
from yolact.cli.command import reports_errors
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.drawing import palette_color
from yolact.runtime.images.image_files import write_image
from yolact.runtime.video.opening import open_video
from yolact.training.models.checkpoints import load_checkpoint
from yolact.training.models.torch_engine import TorchEngine

EXAMPLES = Path(__file__).parent
PICTURE = EXAMPLES / "bins" / "images" / "000003.jpg"
THRESHOLD = 0.5
WIDTH = 1600
"""Of the wide picture, in pixels."""

CLIP_WIDTH, EVERY = 400, 3
"""Of the clip in pixels, and which frames of the video it has."""


def masks_alone(image: Image, found: Detections) -> Image:
    """The masks in the colours of their instances on a dark grey copy of the image, the best on top."""
    canvas = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR) // 4
    for number in reversed(range(len(found))):
        canvas[found.masks[number]] = palette_color(number)
    return np.asarray(canvas)


def wide(detector: Detector) -> Image:
    """Side by side the picture, its masks, and what yolact-infer draws."""
    image = read_image(PICTURE)
    found = detector(image, score_threshold=THRESHOLD)
    row = np.hstack([image, masks_alone(image, found), annotate(image, found)])
    return np.asarray(cv2.resize(row, (WIDTH, row.shape[0] * WIDTH // row.shape[1]), interpolation=cv2.INTER_AREA))


def clip(detector: Detector) -> list[Picture.Image]:
    """Frames of the belt with tracked parts."""
    tracker, frames = Tracker(), []
    with open_video(EXAMPLES / "bins" / "belt.mp4", "belt.mp4") as video:
        for number, frame in enumerate(video):
            found = tracker.update(detector(frame.image, score_threshold=THRESHOLD / 2)).select(THRESHOLD)
            if number % EVERY == 0:
                drawn = annotate(frame.image, found)
                size = (CLIP_WIDTH, drawn.shape[0] * CLIP_WIDTH // drawn.shape[1])
                small = cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)
                frames.append(Picture.fromarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB)))
    return frames


@click.command()
@click.option("--folder", default=Path("docs"), type=click.Path(exists=True, file_okay=False, path_type=Path))
@reports_errors
def main(folder: Path) -> None:
    """Write bins.jpg and belt.webp."""
    weights = next(EXAMPLES.glob("yolact_demo_*.pth"))
    with Detector(TorchEngine(load_checkpoint(weights), PostprocessConfig())) as detector:
        write_image(folder / "bins.jpg", wide(detector))
        first, *rest = clip(detector)
    first.save(folder / "belt.webp", save_all=True, append_images=rest, duration=40 * EVERY, loop=0, quality=60)


if __name__ == "__main__":
    main()
