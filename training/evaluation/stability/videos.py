"""Measures a detector in annotated videos: tracks, calm and AP, with and without smoothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.config import DISPLAY_SCORE_THRESHOLD, DISPLAY_TOP_K
from yolact.runtime.progress_bar import ProgressBar
from yolact.runtime.tracking.assignment import assign
from yolact.runtime.tracking.following import Following
from yolact.training.data.class_pairing import pair_classes
from yolact.training.data.coco.segmentations import decode
from yolact.training.data.ground_truth import GroundTruth
from yolact.training.data.tracks import Film
from yolact.training.evaluation.pairing import Annotated, pair, pair_frame
from yolact.training.evaluation.scores import Row, Scores, score_results, scored_detections, to_results
from yolact.training.evaluation.stability.steps import MATCHED_IOU, Stability, Step
from yolact.training.evaluation.stability.strip import Strip, StripFrame, badness, draw_found
from yolact.training.evaluation.stability.ways import WAYS, Way
from yolact.training.evaluation.track_scores import TrackedFrame, TrackScores, score_tracks

if TYPE_CHECKING:
    from yolact.runtime.detections import Detections
    from yolact.runtime.detector import Detector


@dataclass(frozen=True)
class WayFigures:
    """The figures of one way of showing detections.

    Attributes:
        tracks: of each video with objects, at the thresholds of `yolact-infer`.
        stability: over all videos, against the annotations: the change of an instance's error from frame to frame.
            IoU is that with the annotated mask, and there is no floor.
        scores: average precision over all frames, of everything that the model keeps.
    """

    tracks: tuple[TrackScores, ...]
    stability: Stability
    scores: Scores

    def mean(self, name: str) -> float | None:
        """The mean of a figure of tracks over the videos."""
        values = [getattr(scores, name) for scores in self.tracks]
        return sum(values) / len(values) if values else None

    def to_json(self) -> dict[str, Any]:
        """The figures; AP in shares."""
        return {
            "hota": self.mean("hota"),
            "idf1": self.mean("idf1"),
            "switches": sum(scores.switches for scores in self.tracks),
            "box_ap": self.scores.box.ap,
            "mask_ap": self.scores.mask.ap,
            "stability": self.stability.to_json(),
            "videos": [asdict(scores) for scores in self.tracks],
        }


@dataclass(frozen=True)
class FilmFigures:
    """The figures of one video.

    Attributes:
        name: of its first image.
        tracks: in each way, None where there is no object.
        steps: in each way, one to each frame; that to the first frame counts nothing.
        strip: some frames.
    """

    name: str
    tracks: dict[Way, TrackScores | None]
    steps: dict[Way, list[Step]]
    strip: list[StripFrame]


@dataclass(frozen=True)
class VideoFigures:
    """All figures: `ways` over all videos, `films` of each."""

    ways: dict[Way, WayFigures]
    films: list[FilmFigures]


def measure_videos(
    detector: Detector,
    truth: GroundTruth,
    films: Sequence[Film],
    *,
    top_k: int = DISPLAY_TOP_K,
    progress: bool = True,
) -> VideoFigures:
    """Run a detector over annotated videos, of which tracks and stability are those of the best `top_k` instances of
    a frame. Raises as `evaluate` does.
    """
    category_ids = pair_classes(detector.metadata.config, truth).category_ids
    frames = [(film, number, index) for film in films for number, index in enumerate(film.images)]
    ways = {way: _Way(smooth=way == "smoothed", top_k=top_k) for way in WAYS}
    strips = {film.images[0]: Strip() for film in films}
    images = (_reader(truth, index) for _, _, index in frames)
    bar = ProgressBar(total=len(frames), unit=" frames", leave=None, disable=not progress)
    before: dict[Way, Detections] = {}
    with bar, detector.stream(images, 2, batch_size=detector.engine.min_batch) as stream:
        for (film, number, index), found in zip(frames, stream, strict=True):
            objects = _objects(truth, film, index, category_ids)
            boxes = np.array([a.box for a in truth.images[index].annotations], np.float64).reshape(-1, 4)
            shown = {
                name: way.add(film, objects, boxes, found, truth.images[index].id, category_ids)
                for name, way in ways.items()
            }
            draw = _drawing(truth, film, {number - 1: before, number: shown})
            last = ways["as found"].steps[film.images[0]][-1]
            strips[film.images[0]].add(number, badness(last) if number else 0.0, draw)
            before = shown
            bar.update()
    return VideoFigures(_by_way(detector, truth, ways), [_of_film(truth, film, ways, strips) for film in films])


def _by_way(detector: Detector, truth: GroundTruth, ways: Mapping[Way, _Way]) -> dict[Way, WayFigures]:
    kept = detector.metadata.postprocess.max_detections
    ids = [image.id for image in truth.images]
    return {
        name: WayFigures(
            tuple(scores for film in way.tracked.values() if (scores := score_tracks(film)) is not None),
            Stability.of([step for steps in way.steps.values() for step in steps]),
            score_results(truth.content, way.boxes, way.masks, ids, scored_detections(kept)),
        )
        for name, way in ways.items()
    }


def _of_film(truth: GroundTruth, film: Film, ways: Mapping[Way, _Way], strips: Mapping[int, Strip]) -> FilmFigures:
    scene = film.images[0]
    return FilmFigures(
        truth.images[scene].file_name,
        {name: score_tracks(way.tracked[scene]) for name, way in ways.items()},
        {name: way.steps[scene] for name, way in ways.items()},
        strips[scene].frames(),
    )


def _drawing(
    truth: GroundTruth, film: Film, shown: Mapping[int, Mapping[Way, Detections]]
) -> Callable[[int], Mapping[Way, bytes]]:
    """Draws frames of a film by their number, which reads them once more: few are drawn."""
    return lambda number: draw_found(truth.read(film.images[number]), shown[number])


def _reader(truth: GroundTruth, index: int) -> Any:
    return lambda: truth.read(index)


def _objects(truth: GroundTruth, film: Film, index: int, category_ids: Sequence[int | None]) -> Annotated:
    """The annotated objects of a frame; the class of a category that the model has not is -1."""
    image = truth.images[index]
    classes = {category: number for number, category in enumerate(category_ids) if category is not None}
    return Annotated(
        masks=[decode(a.segmentation, image.size) for a in image.annotations],
        class_ids=np.array([classes.get(a.category_id, -1) for a in image.annotations], np.int64),
        ids=np.array([film.track_ids.get(a.id, -1) for a in image.annotations], np.int64),
        ignored=np.array([a.is_crowd for a in image.annotations], np.bool_),
    )


@dataclass(frozen=True)
class _Seen:
    """An object's detection in a frame: IoU, error of the box (4,) in shares of its size, of the area, and score."""

    iou: float
    box: NDArray[np.float64]
    area: float
    score: float


@dataclass
class _Way:
    """The results so far in one way."""

    smooth: bool
    top_k: int
    tracked: dict[int, list[TrackedFrame]] = field(default_factory=dict)
    steps: dict[int, list[Step]] = field(default_factory=dict)
    boxes: list[Row] = field(default_factory=list)
    masks: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._shown = Following(DISPLAY_SCORE_THRESHOLD, smooth=self.smooth)
        self._all = Following(0.0, smooth=self.smooth)
        self._before: dict[int, _Seen] = {}

    def add(
        self,
        film: Film,
        objects: Annotated,
        object_boxes: NDArray[np.float64],
        found: Detections,
        image_id: int,
        category_ids: Sequence[int | None],
    ) -> Detections:
        """Take in the next frame; returns its shown detections; boxes of objects are x, y, width, height."""
        scene = film.images[0]
        everything = self._all.next(found, scene) if self.smooth else found
        boxes, masks = to_results(everything, image_id, category_ids)
        self.boxes += boxes
        self.masks += masks
        shown = self._shown.next(found.select(self._shown.least_score, self.top_k), scene)
        if scene not in self.tracked:
            self._before = {}
        self.tracked.setdefault(scene, []).append(pair_frame(objects, shown))
        seen = _see(objects, object_boxes, shown)
        present = set(objects.ids[~objects.ignored].tolist())
        self.steps.setdefault(scene, []).append(_step(self._before, seen, present))
        self._before = seen
        return shown


def _see(objects: Annotated, object_boxes: NDArray[np.float64], found: Detections) -> dict[int, _Seen]:
    """The objects that are found, by their ids."""
    paired = pair(objects, found)
    ious = np.where(paired.ious >= MATCHED_IOU, paired.ious, 0)
    masks, seen = found.masks, dict[int, _Seen]()
    for row, column in assign(ious).tolist():
        thing, index = int(paired.objects[row]), int(paired.found[column])
        x, y, width, height = object_boxes[thing]
        error = (found.boxes[index] - (x, y, x + width, y + height)) / np.sqrt(width * height)
        area = masks[index].sum() / objects.masks[thing].sum()
        seen[int(objects.ids[thing])] = _Seen(ious[row, column], error, area, float(found.ranking_scores[index]))
    return seen


def _step(before: Mapping[int, _Seen], now: Mapping[int, _Seen], present: set[int]) -> Step:
    """The change of the errors of those objects that were found before and are still there."""
    kept = [(before[id], now[id]) for id in before if id in now]
    return Step(
        ious=np.array([new.iou for _, new in kept]),
        boxes=np.array([np.abs(new.box - old.box).mean() for old, new in kept]),
        areas=np.array([abs(new.area - old.area) for old, new in kept]),
        scores=np.array([abs(new.score - old.score) for old, new in kept]),
        floors=np.zeros(0),
        lost=sum(id in present and id not in now for id in before),
        appeared=sum(id not in before for id in now),
    )
