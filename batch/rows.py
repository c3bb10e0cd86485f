"""The table of results: its columns, and the rows of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from yolact.runtime.results import MaskFormat
from yolact.runtime.wording import printable

if TYPE_CHECKING:
    import pyarrow

    from yolact.runtime.detections import Detections


def result_schema(masks: MaskFormat) -> pyarrow.Schema:
    """Columns of the results: a row for each detection, one for an image without any, one for an image with an error.

    - ``source``: path or URI of the image; for an image in a Parquet file, followed by ``#`` and the row
    - ``image_id``: id in a COCO annotation file, else null
    - ``image_sha256``: of the encoded image; null where it could not be read
    - ``engine_sha256``: of the engine file
    - ``width``, ``height``: of the image in pixels; null with an error
    - ``error``: why the image has no result, else null
    - ``rank``: of the detection in its image, best first from 0; this and all later columns are null without detection
    - ``class_id``, ``class_name``
    - ``score``: the score that ranks instances; ``class_score`` differs from it where a model scores masks (YOLACT++)
    - ``x1``, ``y1``, ``x2``, ``y2``: the box in pixels of the image
    - ``mask``: COCO's compressed run-length encoding, whose size is (height, width); or polygons [x1, y1, x2, y2, ...];
      absent without masks
    """
    import pyarrow as pa

    text, number, real = pa.string(), pa.int32(), pa.float32()
    columns = [
        pa.field("source", text, nullable=False),
        pa.field("image_id", pa.int64()),
        pa.field("image_sha256", text),
        pa.field("engine_sha256", text, nullable=False),
        *(pa.field(name, number) for name in ("width", "height")),
        pa.field("error", text),
        *(pa.field(name, number) for name in ("rank", "class_id")),
        pa.field("class_name", text),
        *(pa.field(name, real) for name in ("score", "class_score", "x1", "y1", "x2", "y2")),
    ]
    mask = {"rle": text, "polygon": pa.list_(pa.list_(real)), "none": None}[masks]
    return pa.schema(columns if mask is None else [*columns, pa.field("mask", mask)])


class ResultRows:
    """Rows of the images of one part.

    Attributes:
        images, unreadable, detections: numbers added.
    """

    def __init__(self, engine_sha256: str, masks: MaskFormat) -> None:
        """For results of this engine, with masks in this form."""
        self._engine, self._masks, self._rows = engine_sha256, masks, list[dict[str, Any]]()
        self.images = self.unreadable = self.detections = 0

    def add(self, source: str, image_id: int | None, sha256: str, found: Detections) -> None:
        """Add an image with its detections, best first."""
        height, width = found.image_size
        image = {**self._image(source, image_id, sha256), "width": width, "height": height}
        masks: list[Any] = [None] * len(found)
        if self._masks == "rle":
            masks = [mask["counts"] for mask in found.rle()]
        elif self._masks == "polygon":
            masks = list(found.polygons())
        columns = (found.class_ids, found.ranking_scores, found.scores, found.boxes)
        ids, scores, class_scores, boxes = (column.tolist() for column in columns)
        for rank, name in enumerate(found.class_names):
            corners = dict(zip(("x1", "y1", "x2", "y2"), boxes[rank], strict=True))
            scored = {"score": scores[rank], "class_score": class_scores[rank]}
            of_class = {"rank": rank, "class_id": ids[rank], "class_name": name}
            self._rows.append({**image, **of_class, **scored, **corners, "mask": masks[rank]})
        if not len(found):
            self._rows.append(image)
        self.images += 1
        self.detections += len(found)

    def add_error(self, source: str, image_id: int | None, sha256: str | None, reason: str) -> None:
        """Add an image that has no result."""
        self._rows.append({**self._image(source, image_id, sha256), "error": printable(reason)})
        self.images += 1
        self.unreadable += 1

    def _image(self, source: str, image_id: int | None, sha256: str | None) -> dict[str, Any]:
        return {"source": source, "image_id": image_id, "image_sha256": sha256, "engine_sha256": self._engine}

    def table(self) -> pyarrow.Table:
        """All rows, with the columns of `result_schema`."""
        import pyarrow as pa

        return pa.Table.from_pylist(self._rows, schema=result_schema(self._masks))
