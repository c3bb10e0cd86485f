"""Groups images as frames of videos, and annotations as objects, as in CocoVID files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from yolact.runtime.errors import DatasetError
from yolact.runtime.input_files import read_file
from yolact.runtime.json_text import parse_json
from yolact.training.data.coco.json_values import read_whole, shown
from yolact.training.data.ground_truth import GroundTruth


@dataclass(frozen=True)
class Film:
    """A video.

    Attributes:
        images: indices of its frames into the images of the ground truth, in the order of their `frame_id`.
        track_ids: by the id of an annotation; crowds may have none.
    """

    images: tuple[int, ...]
    track_ids: Mapping[int, int]


def read_films(truth: GroundTruth) -> list[Film]:
    """The videos of a file whose images have `video_id` and `frame_id`, and its annotations `track_id`.

    Raises DatasetError where one of them is missing or no whole number, or an object is twice in a frame.
    """
    try:
        content = parse_json(read_file(truth.source))
    except (OSError, ValueError) as error:
        raise DatasetError(f"cannot read {truth.source} again: {error}") from None
    entries = {read_whole(entry.get("id")): entry for entry in content["images"] if isinstance(entry, dict)}
    rows = [row for row in content["annotations"] if isinstance(row, dict)]
    given = {id: row.get("track_id") for row in rows if (id := read_whole(row.get("id"))) is not None}
    films: dict[int, list[tuple[int, int]]] = {}
    for index, image in enumerate(truth.images):
        video, frame = (_whole(truth, entries.get(image.id, {}), name, image.file_name) for name in _FRAME)
        films.setdefault(video, []).append((frame, index))
    for frames in films.values():
        frames.sort()
        for (frame, first), (other, second) in pairwise(frames):
            if frame == other:
                names = f"{truth.images[first].file_name} and {truth.images[second].file_name}"
                raise DatasetError(f"{truth.source}: {names} have the same video_id and frame_id; number the frames")
    _check_tracks(truth, given)
    tracks = {id: track for id, value in given.items() if (track := read_whole(value)) is not None}
    return [Film(tuple(index for _, index in frames), tracks) for frames in films.values()]


_FRAME = ("video_id", "frame_id")


def _whole(truth: GroundTruth, entry: Mapping[str, Any], name: str, image: str) -> int:
    value = read_whole(entry.get(name))
    if value is None:
        got = f"{truth.source}: image {image} has {name} {shown(entry.get(name))}"
        raise DatasetError(
            f"{got}; expected a whole number, as yolact-scenes --frames writes for each frame of a video"
        )
    return value


def _check_tracks(truth: GroundTruth, given: Mapping[int, Any]) -> None:
    for image in truth.images:
        seen = set[int]()
        for annotation in image.annotations:
            track = read_whole(given.get(annotation.id))
            if annotation.is_crowd:
                continue
            if track is None:
                value = shown(given.get(annotation.id))
                got = f"{truth.source}: annotation {annotation.id} on {image.file_name} has track_id {value}"
                raise DatasetError(f"{got}; expected a whole number, the same for an object in all frames")
            if track in seen:
                raise DatasetError(f"{truth.source}: two annotations on {image.file_name} have track_id {track}")
            seen.add(track)
