"""Average precision against recorded numbers and against an oracle that was written differently."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import missing
import numpy as np
import pytest
from annotated import Thing
from ap_oracle import measure

from yolact.training.evaluation.scores import RegionScores, score_results

pytest.importorskip("pycocotools", reason=missing.PYCOCOTOOLS)

GOLDENS = ["plain", "crowd", "nodet"]


def load_golden(shared: Path, name: str) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """Ground truth, boxes and masks."""
    parts = [f"{name}.{part}.json" for part in ("gt", "coco_bbox_dets", "coco_segm_dets")]
    truth, boxes, masks = (json.loads((shared / "goldens" / "ap" / part).read_text()) for part in parts)
    return truth, boxes, masks


def assert_same(found: RegionScores, expected: dict[str, Any]) -> None:
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, abs=1e-9), name


@pytest.mark.parametrize("name", GOLDENS)
def test_recorded_values_of_pycocotools(shared: Path, name: str) -> None:
    truth, boxes, masks = load_golden(shared, name)
    scores = score_results(truth, boxes, masks, [image["id"] for image in truth["images"]])
    recorded = json.loads((shared / "goldens" / "ap" / "expected.json").read_text())[name]
    for region, found in (("bbox", scores.box), ("segm", scores.mask)):
        expected = recorded[f"pycocotools_{region}"]
        stats = [None if value == -1 else value for value in expected["stats12"]]
        names = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
        by_category = {int(id): value / 100 for id, value in expected["AP_per_class"].items()}
        assert_same(found, {**dict(zip(names, stats, strict=False)), "ar": stats[8]})
        assert_same(found, {"ap_by_iou": tuple(value / 100 for value in expected["AP_per_iou"].values())})
        assert_same(found, {"ap_by_category": by_category})
        assert len(set(stats)) > 6 and len(by_category) == 5


@pytest.mark.parametrize("name", GOLDENS)
def test_the_oracle_agrees_on_recorded_detections(shared: Path, name: str) -> None:
    truth, boxes, masks = load_golden(shared, name)
    ids = [image["id"] for image in truth["images"]][::2]
    scores = score_results(truth, boxes, masks, ids)
    assert_same(scores.box, measure(truth, boxes, "bbox", ids))
    assert_same(scores.mask, measure(truth, masks, "segmentation", ids))


@pytest.mark.parametrize("most", [2, 150])
def test_the_oracle_agrees_with_another_limit(shared: Path, most: int) -> None:
    """Every detection is there three times, so that the most of an image is more than 150."""
    truth, boxes, masks = load_golden(shared, "crowd")
    ids = [image["id"] for image in truth["images"]][::3]
    more = [
        [{**row, "score": row["score"] * part} for row in rows for part in (1, 0.6, 0.3)] for rows in (boxes, masks)
    ]
    scores = score_results(truth, *more, ids, max_detections=most)
    assert_same(scores.box, measure(truth, more[0], "bbox", ids, most))
    assert_same(scores.mask, measure(truth, more[1], "segmentation", ids, most))


Results = list[dict[str, Any]]


def made_up(seed: int) -> tuple[dict[str, Any], Results, Results]:
    """Objects of all sizes, crowds, images and a category without any, tied scores, more than 100 detections."""
    rng = np.random.default_rng(seed)
    truth: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": id} for id in (30, 2, 9, 5)]}
    boxes: Results = []
    masks: Results = []
    for image_id in rng.permutation(8).tolist():
        size = tuple(rng.integers(120, 200, 2).tolist())
        truth["images"].append({"id": image_id, "height": size[0], "width": size[1]})
        things = [random_thing(rng, size) for _ in range(rng.integers(0, 9) if image_id else 0)]
        for thing in things:
            entry = {"id": len(truth["annotations"]), "image_id": image_id, **thing.annotation(size)}
            category, area = int(rng.choice([2, 9, 30])), entry["area"] * rng.uniform(0.7, 1.2)
            truth["annotations"].append({**entry, "category_id": category, "area": area})
        own = [a for a in truth["annotations"] if a["image_id"] == image_id]
        found = [(shaken(rng, thing, size), a["category_id"]) for thing, a in zip(things, own, strict=True)] * 2
        found += [(random_thing(rng, size), int(rng.choice([2, 5, 9, 30]))) for _ in range(4 if image_id != 1 else 130)]
        for thing, category in found:
            score = round(rng.uniform(0, 1), 2)
            row, entry = {"image_id": image_id, "category_id": category, "score": score}, thing.annotation(size)
            boxes.append({**row, "bbox": entry["bbox"]})
            masks.append({**row, "segmentation": compressed(entry["segmentation"])})
    return truth, boxes, masks


def random_thing(rng: np.random.Generator, size: tuple[int, ...]) -> Thing:
    height, width = (int(rng.integers(6, side - 10)) for side in size)
    top, left = (int(rng.integers(0, side - extent)) for side, extent in zip(size, (height, width), strict=True))
    return Thing(0, (left, top, left + width, top + height), bool(rng.random() < 0.2))


def shaken(rng: np.random.Generator, thing: Thing, size: tuple[int, ...]) -> Thing:
    """Off by up to some pixels."""
    left, top, right, bottom = (np.array(thing.box) + rng.integers(-4, 5, 4)).tolist()
    return Thing(0, (max(left, 0), max(top, 0), max(min(right, size[1]), left + 5), max(min(bottom, size[0]), top + 5)))


def compressed(rle: dict[str, Any]) -> dict[str, Any]:
    from pycocotools import mask

    encoded = mask.frPyObjects(rle, *rle["size"])
    return {"size": rle["size"], "counts": encoded["counts"].decode()}


@pytest.mark.parametrize("seed", range(4))
def test_the_oracle_agrees_on_made_up_detections(seed: int) -> None:
    truth, boxes, masks = made_up(seed)
    ids = [image["id"] for image in truth["images"]]
    assert any(a["iscrowd"] for a in truth["annotations"])
    scores = score_results(truth, boxes, masks, ids)
    assert_same(scores.box, measure(truth, boxes, "bbox", ids))
    assert_same(scores.mask, measure(truth, masks, "segmentation", ids))
    assert scores.box.ap_by_category[5] is None and scores.box.ap is not None and scores.box.ap > 0.1


def test_scoring_changes_no_argument_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    arguments = made_up(1)
    before = copy.deepcopy(arguments)
    score_results(*arguments, range(8))
    assert arguments == before
    assert capfd.readouterr() == ("", "")


def test_ids_from_zero_and_absent_values(shared: Path) -> None:
    """COCOeval takes an object with id 0 for one never found, and stops where `iscrowd` or `area` is absent."""
    truth, boxes, masks = load_golden(shared, "plain")
    ids = [image["id"] for image in truth["images"]]
    expected = score_results(truth, boxes, masks, ids)
    bare = copy.deepcopy(truth)
    for number, entry in enumerate(bare["annotations"]):
        entry["id"] = number
        del entry["iscrowd"], entry["area"]  # the recorded areas are those of the masks
    assert score_results(bare, boxes, masks, ids) == expected


def test_nothing_found_and_nothing_to_find(shared: Path) -> None:
    truth, boxes, masks = load_golden(shared, "plain")
    ids = [image["id"] for image in truth["images"]]
    for scores in (score_results(truth, [], [], ids), score_results(truth, boxes, masks, ids[:0])):
        assert scores.box == scores.mask
    nothing_found = score_results(truth, [], [], ids).mask
    assert (nothing_found.ap, nothing_found.ap75, nothing_found.ar, nothing_found.ap_large) == (0, 0, 0, None)
    assert nothing_found.ap_by_category == dict.fromkeys((1, 3, 7, 20, 44), 0)
    nothing_there = score_results({**truth, "annotations": []}, boxes, masks, ids).box
    assert nothing_there.ap is None and nothing_there.ar is None
    assert nothing_there.ap_by_category == dict.fromkeys((1, 3, 7, 20, 44))
