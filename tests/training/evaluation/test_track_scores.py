"""HOTA and IDF1 against counts by hand, and against their definitions worked through pair by pair."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from yolact.training.evaluation.track_scores import TrackedFrame, score_tracks

Frame = tuple[list[int], list[int], list[list[float]]]


def frames_of(*frames: Frame) -> list[TrackedFrame]:
    return [
        TrackedFrame(np.array(objects), np.array(tracks), np.array(ious).reshape(len(objects), len(tracks)))
        for objects, tracks, ious in frames
    ]


def exact(objects: list[int], tracks: list[int]) -> Frame:
    """Each object is found exactly, by the track of its place."""
    return objects, tracks, np.eye(len(objects)).tolist()


def test_perfect_tracks_score_one_and_none_score_nothing() -> None:
    scores = score_tracks(frames_of(exact([7, 3], [20, 10]), exact([3], [10])))
    assert scores is not None
    assert (scores.hota, scores.detection, scores.association, scores.idf1) == pytest.approx((1, 1, 1, 1))
    assert (scores.switches, scores.objects, scores.tracks) == (0, 2, 2)
    nothing = score_tracks(frames_of(([1, 2], [], []), ([1], [], [])))
    assert nothing is not None and (nothing.hota, nothing.idf1, nothing.tracks) == (0, 0, 0)
    assert score_tracks(frames_of(([], [4], []))) is None
    assert score_tracks([]) is None


def test_an_object_whose_id_changes_half_way() -> None:
    """Ten frames, always found: each half is associated as 5 of 10, the best id covers 5 of 10 + 10."""
    scores = score_tracks(frames_of(*[exact([1], [5])] * 5, *[exact([1], [6])] * 5))
    assert scores is not None
    assert scores.detection == 1 and scores.association == pytest.approx(0.5)
    assert scores.hota == pytest.approx(math.sqrt(0.5))
    assert scores.idf1 == pytest.approx(2 * 5 / 20) and scores.switches == 1


def test_two_objects_that_swap_ids() -> None:
    """Each pair is together in 4 and 2 of 6 frames; the union of any two ids that meet is 8 or 10."""
    scores = score_tracks(frames_of(*[exact([1, 2], [1, 2])] * 4, *[exact([1, 2], [2, 1])] * 2))
    assert scores is not None and scores.switches == 2
    assert scores.association == pytest.approx((4 * 4 / 8 + 2 * 2 / 10) / 6)
    assert scores.idf1 == pytest.approx(8 / 12)


def test_missed_and_false_detections() -> None:
    """Four times there, three times found, and a false one of another track."""
    scores = score_tracks(frames_of(*[exact([1], [1])] * 3, ([1], [9], [[0.0]])))
    assert scores is not None
    assert scores.detection == pytest.approx(3 / 5) and scores.association == pytest.approx(3 / 4)
    assert scores.idf1 == pytest.approx(2 * 3 / 8) and scores.switches == 0


def test_an_overlap_counts_up_to_its_threshold() -> None:
    """IoU 0.62 reaches 12 of 19 thresholds, which score 1 each."""
    scores = score_tracks(frames_of(*[([1], [1], [[0.62]])] * 3))
    assert scores is not None and scores.hota == pytest.approx(12 / 19) and scores.idf1 == 1
    low = score_tracks(frames_of(([1], [1], [[0.49]])))
    assert low is not None and low.idf1 == 0


def defined(frames: list[TrackedFrame]) -> tuple[float, float]:
    """HOTA and IDF1 as they are defined, every assignment tried."""
    objects = [(t, int(id)) for t, frame in enumerate(frames) for id in frame.object_ids]
    tracks = [(t, int(id)) for t, frame in enumerate(frames) for id in frame.track_ids]
    times = {id: sum(one == id for _, one in objects) for _, id in objects}
    track_times = {id: sum(one == id for _, one in tracks) for _, id in tracks}
    together: dict[tuple[int, int], float] = {}
    halves: dict[tuple[int, int], int] = {}
    for frame in frames:
        for (i, a), (j, b) in itertools.product(enumerate(frame.object_ids), enumerate(frame.track_ids)):
            rest = frame.ious[i].sum() + frame.ious[:, j].sum() - frame.ious[i, j]
            together[int(a), int(b)] = together.get((int(a), int(b)), 0) + (frame.ious[i, j] / rest if rest else 0)
            halves[int(a), int(b)] = halves.get((int(a), int(b)), 0) + (frame.ious[i, j] >= 0.5)
    agreement = {pair: value / (times[pair[0]] + track_times[pair[1]] - value) for pair, value in together.items()}
    matched: list[tuple[int, int, float]] = []
    for frame in frames:
        width = len(frame.track_ids)

        def worth(chosen: tuple[int, ...], frame: TrackedFrame = frame) -> float:
            pairs = [(i, j) for i, j in enumerate(chosen) if j >= 0]
            return sum(
                agreement[int(frame.object_ids[i]), int(frame.track_ids[j])] * frame.ious[i, j] for i, j in pairs
            )

        count = len(frame.object_ids)
        best = max(itertools.permutations([*range(width), *[-1] * count], count), key=worth)
        matched += [
            (int(frame.object_ids[i]), int(frame.track_ids[j]), frame.ious[i, j]) for i, j in enumerate(best) if j >= 0
        ]
    total = 0.0
    for alpha in [0.05 * step for step in range(1, 20)]:
        hits = [(a, b) for a, b, iou in matched if iou >= alpha - 1e-9]
        shared = [hits.count(pair) / (times[pair[0]] + track_times[pair[1]] - hits.count(pair)) for pair in hits]
        total += math.sqrt(sum(shared) / (len(objects) + len(tracks) - len(hits)))
    ids, track_ids = sorted(times), [*sorted(track_times), *[-1] * len(times)]
    right = max(
        sum(halves.get(pair, 0) for pair in zip(ids, chosen, strict=True))
        for chosen in itertools.permutations(track_ids, len(ids))
    )
    return total / 19, 2 * right / (len(objects) + len(tracks))


@pytest.mark.parametrize("seed", range(12))
def test_scores_are_their_definitions(seed: int) -> None:
    random = np.random.default_rng(seed)
    frames = []
    for _ in range(6):
        objects = random.permutation(3)[: random.integers(0, 4)]
        tracks = random.permutation(4)[: random.integers(0, 4)] + 10
        ious = random.random((len(objects), len(tracks))) * (random.random((len(objects), len(tracks))) < 0.7)
        frames.append(TrackedFrame(objects, tracks, ious))
    scores = score_tracks(frames)
    assert scores is not None
    assert (scores.hota, scores.idf1) == pytest.approx(defined(frames))
