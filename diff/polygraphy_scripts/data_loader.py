"""For `polygraphy run --data-loader-script`: gives the inputs of the networks, (N, S, S, 3) uint8 BGR.

Environment:
    YOLACT_DIFF_DATA: folder of images; without it, made-up scenes.
    YOLACT_DIFF_LIMIT: number of images to use, the first ones.
    YOLACT_DIFF_ANNOTATIONS: use the images of this annotation file.
    YOLACT_DIFF_EXIF: `keep` leaves images as they are stored.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yolact.diff.images import find_images
from yolact.runtime.contract import INPUT_NAME
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.preprocess import Preprocessor, fill_batch
from yolact.training.data.coco.reading_rules import USUAL, ReadingRules


class ImageLoader:
    """Reads one image at a time.

    Attributes:
        input_metadata: the inputs of the engine, set by Polygraphy before it asks for data.
    """

    input_metadata: Any = None

    def __iter__(self) -> Iterator[dict[str, Image]]:
        """A batch of one image, filled up with black for a file made for a fixed batch."""
        data, limit, annotations = (os.environ.get(f"YOLACT_DIFF_{name}") for name in ("DATA", "LIMIT", "ANNOTATIONS"))
        found = find_images(
            None if data is None else Path(data),
            None if limit is None else int(limit),
            None if annotations is None else Path(annotations),
            ReadingRules(exif="keep") if os.environ.get("YOLACT_DIFF_EXIF") == "keep" else USUAL,
        )
        batch, size = self.input_metadata[INPUT_NAME].shape[:2]
        preprocess = Preprocessor(size)
        for image in found.images:
            pixels = preprocess([image.read()])
            yield {INPUT_NAME: fill_batch(pixels, batch if isinstance(batch, int) else 1)}


def load_data() -> ImageLoader:
    """The function that Polygraphy calls."""
    return ImageLoader()
