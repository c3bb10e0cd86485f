"""Reads the results of a job."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

from yolact.batch.manifest import Identity, read_manifest
from yolact.batch.part_files import FOLDER, PartDamaged, read_part
from yolact.batch.places import Place, open_place
from yolact.runtime.errors import UsageError, YolactError
from yolact.runtime.images.mask_encoding import Rle
from yolact.runtime.metadata import ModelMetadata
from yolact.training.evaluation.stored import StoredImage


@dataclass(frozen=True)
class BatchResults:
    """A folder of results with masks in RLE.

    Attributes:
        folder: the folder itself.
        identity: of its job.
        metadata: of the model; its score threshold is that of the job where the latter is higher.
        files: the files of results.
    """

    folder: Place
    identity: Identity
    metadata: ModelMetadata
    files: tuple[Place, ...]

    @classmethod
    def open(cls, uri: str) -> BatchResults:
        """Open a folder, whose job need not be complete.

        Raises:
            UsageError: there is no such folder, or its results have no masks or polygons.
            YolactError: it is no folder of `yolact-batch`, or of another version.
        """
        folder = open_place(uri)
        if folder.kind() != "folder":
            raise UsageError(f"{folder.name}: there is no such folder; expected one that yolact-batch wrote")
        identity, metadata, _ = read_manifest(folder)
        if identity.masks != "rle":
            raise UsageError(
                f"{folder.name} was made with --masks {identity.masks}; only results with --masks rle can be scored"
            )
        threshold = max(metadata.postprocess.score_threshold, identity.score_threshold)
        parts = (folder / FOLDER).entries()
        return cls(
            folder,
            identity,
            replace(metadata, postprocess=replace(metadata.postprocess, score_threshold=threshold)),
            tuple(folder.at(entry.path) for entry in parts if not entry.path.rpartition("/")[2].startswith(".")),
        )

    def find(self, digests: Collection[str]) -> dict[str, StoredImage]:
        """The results of the images with these SHA-256 digests, by digest. A repeated image is given once.

        Raises YolactError where a file is damaged.
        """
        found: dict[str, StoredImage] = {}
        for file in self.files:
            try:
                rows = read_part(file).to_pylist()
            except PartDamaged as damage:
                raise YolactError(f"{file.name} {damage}; run yolact-batch again, which writes it again") from None
            for digest, image in _images(rows):
                if digest in digests:
                    found.setdefault(digest, image)
        return found


def _images(rows: list[dict[str, Any]]) -> Iterator[tuple[str, StoredImage]]:
    """The images of a part, whose rows follow each other; those that could not be read at all have no digest."""
    for (digest, source, _), group in groupby(rows, lambda row: (row["image_sha256"], row["source"], row["image_id"])):
        first, *others = group
        if digest is not None:
            detections = [] if first["rank"] is None else [first, *others]
            yield digest, _image(source, first, detections)


def _image(source: str, first: dict[str, Any], detections: list[dict[str, Any]]) -> StoredImage:
    size = (first["height"] or 0, first["width"] or 0)
    corners = [[row[side] for side in ("x1", "y1", "x2", "y2")] for row in detections]
    return StoredImage(
        source,
        first["error"],
        size,
        np.array([row["class_id"] for row in detections], np.int64),
        np.array(corners, np.float32).reshape(-1, 4),
        np.array([row["class_score"] for row in detections], np.float32),
        np.array([row["score"] for row in detections], np.float32),
        tuple(Rle(size=[*size], counts=row["mask"]) for row in detections),
    )
