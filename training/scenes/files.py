"""Synthetic scenes as files: pictures and annotations in COCO's format, for training, evaluation and other tools."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import numpy as np

from yolact.runtime.errors import UsageError, YolactError
from yolact.runtime.file_lock import FileInUse, FileLock, LockUnavailable
from yolact.runtime.images.geometry import Region
from yolact.runtime.images.image_files import write_image
from yolact.runtime.images.mask_encoding import encode_rle
from yolact.runtime.images.suffixes import IMAGE_SUFFIXES
from yolact.runtime.json_text import from_json, to_json
from yolact.runtime.output_files import check_output_folder, replacing
from yolact.runtime.progress_bar import ProgressBar
from yolact.runtime.video.opening import create_video
from yolact.training.scenes.kinds import KINDS, KindName
from yolact.training.scenes.scene import Scene

ANNOTATION_FILE = "annotations.json"
IMAGE_FOLDER = "images"

FPS = 25.0
"""Frames a second of videos."""

_UNFINISHED = ".unfinished-scenes"
_NAME = re.compile(r"\d{6,}(_\d{4,})?\.(png|jpg)")
_VIDEO_NAME = re.compile(r"\d{6,}\.mp4")


@dataclass(frozen=True)
class SceneRequest:
    """What is to be written.

    Attributes:
        folder: created if needed.
        count: scenes or videos.
        seed: another one gives other scenes.
        kind: see `kinds`.
        size: (height, width) in pixels; None for that of the kind.
        frames: of each video; 0 for single pictures.
        workers: processes that draw.
    """

    folder: Path
    count: int
    seed: int
    kind: KindName = "shapes"
    size: tuple[int, int] | None = None
    frames: int = 0
    workers: int = 1


Row = dict[str, Any]


def write_scenes(request: SceneRequest) -> int:
    """Write scenes to ``images/`` and ``annotations.json`` in a folder, videos also as ``000000.mp4`` and so on.

    Frames of a video share ``video_id``, and an object has the same ``track_id`` in all of them. What is too hidden to
    be asked for is annotated with ``iscrowd`` 1. Scenes of an earlier call are replaced, all of them. Returns the
    number of pictures.

    Raises:
        UsageError: there are other pictures or annotations in the folder, another call writes into it, or the kind has
            no videos.
        YolactError: the folder, the disk or what draws does not allow it; there is no annotation file then.
    """
    folder, kind = request.folder, KINDS[request.kind]
    if request.frames and kind.film is None:
        raise UsageError(f"--frames is for --kind bin; {request.kind} are single pictures")
    kind.check()
    check_output_folder("--output", folder / IMAGE_FOLDER)
    _refuse_foreign(folder)
    images: list[Row] = []
    annotations: list[Row] = []
    try:
        with _claimed(folder):
            _remove_earlier(folder)
            for made in ProgressBar(_made(request), total=request.count, unit=" scenes"):
                for image, objects in made:
                    images.append({"id": len(images) + 1, **image})
                    annotations += [
                        {"id": len(annotations) + number, "image_id": len(images), **values}
                        for number, values in enumerate(objects, 1)
                    ]
            categories = [{"id": id, "name": name} for id, name in enumerate(kind.classes, 1)]
            content = {"images": images, "annotations": annotations, "categories": categories}
            if request.frames:
                content["videos"] = [{"id": number + 1, "name": f"{number:06}"} for number in range(request.count)]
            with replacing(folder / ANNOTATION_FILE) as temporary:
                temporary.write_text(to_json(content), encoding="utf-8")
            (folder / _UNFINISHED).unlink()
    except OSError as error:
        raise YolactError(f"cannot write scenes to {folder}: {error.strerror}") from error
    return len(images)


Made = list[tuple[Row, list[Row]]]
"""The pictures of a scene or video and the objects on them, without ids."""


def _made(request: SceneRequest) -> Iterator[Made]:
    """What was written of each scene, in the order of their indices."""
    tasks = [(request, index) for index in range(request.count)]
    if request.workers == 1:
        yield from map(_make, tasks)
        return
    # Not forked: threads of the drawing library would not be there in the child.
    others = set(active_children())
    pool = ProcessPoolExecutor(request.workers, get_context("spawn"), _start_worker)
    try:
        yield from pool.map(_make, tasks)
    except BrokenProcessPool:
        for worker in set(active_children()) - others:  # one that the pool had just started would wait for ever
            worker.kill()
        raise YolactError("a process that draws scenes ended; if memory ran out, use fewer --workers") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides, and ends the workers
    os.environ.setdefault("LP_NUM_THREADS", "1")  # of Mesa's renderer: the workers are the threads


def _make(task: tuple[SceneRequest, int]) -> Made:
    """Draw and write one scene, or one video with all its frames."""
    request, index = task
    kind = KINDS[request.kind]
    size = request.size or kind.size
    images = request.folder / IMAGE_FOLDER
    if not request.frames:
        return [_write(images / f"{index:06}{kind.suffix}", kind.draw(request.seed, index, size))]
    assert kind.film is not None
    made = []
    with create_video(request.folder / f"{index:06}.mp4", FPS) as video:
        for number, scene in enumerate(kind.film(request.seed, index, request.frames, size)):
            video.write(scene.image)
            image, objects = _write(images / f"{index:06}_{number:04}{kind.suffix}", scene)
            tracks = [{**row, "track_id": int(id)} for row, id in zip(objects, scene.instance_ids, strict=True)]
            made.append(({**image, "video_id": index + 1, "frame_id": number}, tracks))
    return made


def _write(path: Path, scene: Scene) -> tuple[Row, list[Row]]:
    write_image(path, scene.image)
    height, width = scene.image.shape[:2]
    return {"file_name": path.name, "height": height, "width": width}, _objects(scene)


def _refuse_foreign(folder: Path) -> None:
    """Raise UsageError where the folder holds pictures or annotations that `write_scenes` did not write."""
    index = folder / ANNOTATION_FILE
    has_pictures = any(path.suffix.lower() in IMAGE_SUFFIXES for path in (folder / IMAGE_FOLDER).iterdir())
    has_videos = any(_VIDEO_NAME.fullmatch(path.name) for path in folder.iterdir())
    if (index.exists() or has_pictures or has_videos) and not (_is_own(index) or (folder / _UNFINISHED).exists()):
        raise UsageError(
            f"{folder} holds pictures or annotations that are no synthetic scenes; choose another --output, or empty it"
        )


def _is_own(index: Path) -> bool:
    try:
        content = from_json(index.read_bytes())
        names = tuple(category["name"] for category in content["categories"])
        return names in [kind.classes for kind in KINDS.values()] and all(
            _NAME.fullmatch(image["file_name"]) for image in content["images"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Make the file that says, until new annotations are there, whose the pictures are. Its lock keeps others out."""
    try:
        lock = FileLock(folder / _UNFINISHED, os.O_CREAT)
    except FileInUse:
        raise UsageError(f"another run writes scenes into {folder}; wait for it or choose another --output") from None
    except LockUnavailable:
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _remove_earlier(folder: Path) -> None:
    """Delete the scenes of an earlier call."""
    (folder / ANNOTATION_FILE).unlink(missing_ok=True)
    named: Iterable[tuple[Path, re.Pattern[str]]] = ((folder / IMAGE_FOLDER, _NAME), (folder, _VIDEO_NAME))
    for place, name in named:
        for path in place.iterdir():
            if name.fullmatch(path.name):
                path.unlink()


def _objects(scene: Scene) -> list[Row]:
    """The objects of a scene, without ids."""
    found = []
    for class_id, box, mask, hidden in zip(
        scene.class_ids.tolist(), scene.boxes.tolist(), scene.masks, scene.hidden.tolist(), strict=True
    ):
        x1, y1, x2, y2 = box
        height, width = mask.shape
        whole = Region(0, 0, height, width)
        found.append(
            {
                "category_id": class_id + 1,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": int(np.count_nonzero(mask)),
                "iscrowd": int(hidden),
                "segmentation": encode_rle(mask.astype(np.bool_), whole, (height, width)),
            }
        )
    return found
