"""Detections compared as sets."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from yolact.diff.detection_diff import DetectionTotals, box_ious, compare_detections, mask_iou
from yolact.diff.gates import Gate
from yolact.runtime.detections import Detections
from yolact.runtime.images.geometry import ImageTransform, Region

SIZE = (60, 80)  # height and width of the image: not square
CELLS = 20


def detections(rows: list[tuple[tuple[float, float, float, float], float, int]]) -> Detections:
    """From (box in pixels, score, class); masks fill the boxes, on a coarse grid."""
    masks = np.zeros((len(rows), CELLS, CELLS), np.float32)
    for mask, ((left, top, right, bottom), _, _) in zip(masks, rows, strict=True):
        vertical, horizontal = CELLS / SIZE[0], CELLS / SIZE[1]
        rectangle = slice(round(top * vertical), round(bottom * vertical))
        mask[rectangle, round(left * horizontal) : round(right * horizontal)] = 1
    return Detections(
        boxes=np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4),
        scores=np.array([score for _, score, _ in rows], np.float32),
        class_ids=np.array([class_id for _, _, class_id in rows], np.int32),
        mask_scores=None,
        mask_probabilities=masks,
        transform=ImageTransform(SIZE),
    )


A, B, C = (0, 0, 40, 30), (40, 30, 80, 60), (20, 30, 40, 60)


def test_the_same_set_in_another_order_is_the_same() -> None:
    ours = detections([(B, 0.9, 1), (A, 0.8, 0), (C, 0.7, 1)])
    theirs = detections([(A, 0.9, 0), (B, 0.8, 1), (C, 0.7, 1)])
    diff = compare_detections(ours, theirs, 0.15, 0.1)
    assert [(match.tested, match.reference) for match in diff.matches] == [(1, 0), (0, 1), (2, 2)]
    assert not diff.missed and not diff.spurious
    assert all(match.box_iou == match.mask_iou == 1 for match in diff.matches)
    assert diff.matches[0].score_difference == pytest.approx(-0.1)
    assert diff.badness == 0


def test_another_class_is_another_object() -> None:
    diff = compare_detections(detections([(A, 0.9, 0)]), detections([(A, 0.9, 1)]), 0.15, 0.1)
    assert diff.matches == () and diff.missed == (0,) and diff.spurious == (0,) and diff.badness == 2


@pytest.mark.parametrize(("overlap", "matched"), [(0.52, True), (0.48, False)])
def test_boxes_match_from_half_overlap_on(overlap: float, matched: bool) -> None:
    shift = 40 * (1 - overlap) / (1 + overlap)
    moved = (A[0] + shift, A[1], A[2] + shift, A[3])
    diff = compare_detections(detections([(moved, 0.9, 0)]), detections([(A, 0.9, 0)]), 0.15, 0.1)
    assert bool(diff.matches) == matched
    if matched:
        assert diff.matches[0].box_iou == pytest.approx(overlap, abs=1e-6)


def test_nobody_is_matched_twice_and_the_best_of_the_reference_chooses_first() -> None:
    ours = detections([((0, 0, 38, 30), 0.9, 0)])
    theirs = detections([(A, 0.6, 0), ((0, 0, 36, 30), 0.7, 0)])
    diff = compare_detections(ours, theirs, 0.15, 0.1)
    assert [(match.tested, match.reference) for match in diff.matches] == [(0, 1)]
    assert diff.missed == (0,)


def test_a_detection_at_the_score_threshold_is_not_missed_for_a_trifle() -> None:
    just_below, just_above = detections([(A, 0.149, 0)]), detections([(A, 0.151, 0)])
    for ours, theirs in ((just_below, just_above), (just_above, just_below)):
        diff = compare_detections(ours, theirs, 0.15, 0.1)
        assert len(diff.matches) == 1 and not diff.missed and not diff.spurious
    far_below = detections([(A, 0.04, 0)])
    assert compare_detections(far_below, just_above, 0.15, 0.1).missed == (0,)
    assert compare_detections(just_above, far_below, 0.15, 0.1).spurious == (0,)
    nothing = compare_detections(just_below, just_below, 0.15, 0.1)
    assert (nothing.matches, nothing.missed, nothing.spurious) == ((), (), ())


def test_nothing_found_on_either_side() -> None:
    none, some = detections([]), detections([(A, 0.9, 0), (B, 0.5, 0)])
    assert compare_detections(none, none, 0.15, 0.1).badness == 0
    assert compare_detections(none, some, 0.15, 0.1).missed == (0, 1)
    assert compare_detections(some, none, 0.15, 0.1).spurious == (0, 1)


def brute_force(ours: Detections, theirs: Detections, threshold: float, tolerance: float) -> tuple[set, set, set]:
    """The same rule in sets and loops over whole images of pixels, written independently."""

    def area_iou(a: np.ndarray, b: np.ndarray) -> float:
        inter = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
        total = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
        return inter / total if total else 0.0

    free = {i for i in range(len(ours)) if ours.scores[i] > threshold - tolerance}
    pairs = set()
    for r in sorted(range(len(theirs)), key=lambda i: (-theirs.scores[i], i)):
        if theirs.scores[r] <= threshold - tolerance:
            continue
        rivals = [
            (area_iou(ours.boxes[i].astype(float), theirs.boxes[r].astype(float)), -i)
            for i in free
            if ours.class_ids[i] == theirs.class_ids[r]
        ]
        if rivals and max(rivals)[0] >= 0.5:
            chosen = -max(rivals)[1]
            pairs.add((chosen, r))
            free.remove(chosen)
    missed = {i for i in range(len(theirs)) if theirs.scores[i] > threshold} - {r for _, r in pairs}
    spurious = {i for i in range(len(ours)) if ours.scores[i] > threshold} - {o for o, _ in pairs}
    seen = {(o, r) for o, r in pairs if ours.scores[o] > threshold or theirs.scores[r] > threshold}
    return seen, missed, spurious


@pytest.mark.parametrize("seed", range(30))
def test_against_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def some(count: int) -> list[tuple[tuple[float, float, float, float], float, int]]:
        rows = []
        for _ in range(count):
            left, top = float(rng.integers(0, 40)), float(rng.integers(0, 30))
            box = (left, top, left + float(rng.integers(0, 40)), top + float(rng.integers(0, 30)))
            rows.append((box, float(rng.uniform(0, 0.5)), int(rng.integers(2))))
        return sorted(rows, key=lambda row: -row[1])

    base = some(12)
    moved = [(tuple(np.clip(np.add(box, rng.integers(-3, 4, 4)), 0, 60)), s + 0.02, c) for box, s, c in base[3:]]
    moved = [((box[0], box[1], max(box[0], box[2]), max(box[1], box[3])), s, c) for box, s, c in moved]
    ours, theirs = detections(moved + some(3)), detections(base)
    diff = compare_detections(ours, theirs, 0.15, 0.1)
    pairs, missed, spurious = brute_force(ours, theirs, 0.15, 0.1)
    assert {(match.tested, match.reference) for match in diff.matches} == pairs
    assert (set(diff.missed), set(diff.spurious)) == (missed, spurious)
    for match in diff.matches:
        a, b = ours.masks[match.tested], theirs.masks[match.reference]
        expected = (a & b).sum() / (a | b).sum() if (a | b).any() else 1.0
        assert match.mask_iou == pytest.approx(expected)


def test_mask_iou_of_regions_is_that_of_whole_images() -> None:
    rng = np.random.default_rng(0)
    regions = [Region(0, 0, 0, 0), Region(1, 2, 7, 6), Region(4, 0, 9, 5), Region(8, 6, 12, 10), Region(1, 2, 7, 6)]
    masks = [rng.random(region.shape) > 0.4 for region in regions]
    for (region_a, a), (region_b, b) in itertools.product(zip(regions, masks, strict=True), repeat=2):
        whole = np.zeros((2, 14, 12), bool)
        whole[0][region_a.slices], whole[1][region_b.slices] = a, b
        union = (whole[0] | whole[1]).sum()
        expected = (whole[0] & whole[1]).sum() / union if union else 1
        assert mask_iou(region_a, a, region_b, b) == expected


def test_boxes_that_are_none() -> None:
    nan, point, unit = [np.nan] * 4, [1, 1, 1, 1], [0, 0, 2, 2]
    ious = box_ious(np.array([nan, point, unit], np.float32), np.array([nan, point, unit], np.float32))
    assert ious.tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 1]]


def test_totals() -> None:
    ours = detections([(A, 0.9, 0), (B, 0.8, 1)])
    theirs = detections([(A, 0.7, 0), (C, 0.8, 1), (B, 0.6, 0)])
    diffs = [compare_detections(ours, theirs, 0.15, 0.1), compare_detections(theirs, theirs, 0.15, 0.1)]
    totals = DetectionTotals.of(diffs)
    assert (totals.images, totals.matched, totals.missed, totals.spurious) == (2, 4, 2, 1)
    assert totals.missed_share == pytest.approx(2 / 6) and totals.spurious_share == pytest.approx(1 / 5)
    assert totals.max_score_difference == pytest.approx(0.2)
    assert totals.median_box_iou == totals.median_mask_iou == 1
    empty = DetectionTotals()
    assert (empty.missed_share, empty.spurious_share, empty.max_score_difference) == (0, 0, 0)
    assert empty.median_box_iou is None and empty.median_mask_iou is None


@pytest.mark.parametrize(
    ("measured", "at_most", "at_least"),
    [(0.4, True, False), (0.5, True, True), (0.6, False, True), (float("nan"), False, False)],
)
def test_a_limit_is_kept_by_what_reaches_it(measured: float, at_most: bool, at_least: bool) -> None:
    assert Gate("share", "--max-share", measured, 0.5).passed == at_most
    assert Gate("IoU", "--min-iou", measured, 0.5, at_least=True).passed == at_least
