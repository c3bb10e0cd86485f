"""Evaluation of a detector whose answers are known, on files that are in order and on others."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import missing
import numpy as np
import pytest
from annotated import CATEGORIES, CONFIG, METADATA, Picture, Thing, ToldEngine, perfect, write_dataset

from yolact.runtime.config import PostprocessConfig
from yolact.runtime.detector import Detector
from yolact.runtime.errors import DatasetError, ImageError, UsageError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.preprocess import Preprocessor
from yolact.runtime.postprocess.postprocess import NetworkDetections
from yolact.training.data.class_pairing import check_categories
from yolact.training.data.coco.annotations import decode_mask
from yolact.training.data.coco.reading_rules import ReadingRules
from yolact.training.data.ground_truth import read_ground_truth
from yolact.training.evaluation.evaluate import Evaluation, evaluate
from yolact.training.models.configs import CONFIGS

pytest.importorskip("pycocotools", reason=missing.PYCOCOTOOLS)

# What is on the images of the tests below: sizes differ, none is square, one image holds nothing, one a crowd.
PICTURES = (
    Picture((80, 120), [Thing(0, (10, 10, 50, 40)), Thing(0, (60, 20, 90, 70)), Thing(1, (5, 50, 45, 75))]),
    Picture((100, 70), [Thing(2, (12, 10, 32, 80))]),
    Picture((60, 90)),
    Picture((150, 110), [Thing(1, (20, 10, 90, 120)), Thing(1, (0, 125, 110, 150), is_crowd=True)]),
    Picture((90, 130), [Thing(2, (30, 30, 80, 60)), Thing(0, (90, 5, 110, 85))]),
)


def evaluate_files(
    detector: Detector, annotations: Path, images: Path, limit: int | None = None, **options: Any
) -> Evaluation:
    truth = read_ground_truth(annotations, images, limit)
    check_categories(detector.metadata.config, truth)
    return evaluate(detector, truth, **options)


def run(
    folder: Path,
    change: Callable[[NetworkDetections], NetworkDetections] = lambda answer: answer,
    pictures: Sequence[Picture] = PICTURES,
    **options: Any,
) -> Evaluation:
    """Evaluate an engine that finds all things perfectly, but for the change."""
    annotations, images = write_dataset(folder / "data", pictures)
    engine = ToldEngine.on(pictures, [change(perfect(picture)) for picture in pictures])
    return evaluate_files(Detector(engine), annotations, images, **options)


def test_perfect_detections(tmp_path: Path) -> None:
    evaluation = run(tmp_path)
    for scores in (evaluation.scores.box, evaluation.scores.mask):
        assert (scores.ap, scores.ap50, scores.ap75, scores.ar) == pytest.approx((1, 1, 1, 1))
        assert scores.ap_by_category == pytest.approx(dict.fromkeys(CATEGORIES, 1))
        assert (scores.ap_small, scores.ap_medium) == pytest.approx((1, 1))
        assert scores.ap_large is None
    assert len(evaluation.box_results) == len(evaluation.mask_results) == 7
    first = evaluation.box_results[0]
    assert (first["image_id"], first["category_id"]) == (50, 7)
    assert first["bbox"] == pytest.approx([10, 10, 40, 30], abs=1e-4)
    assert evaluation.detector_ms > 0 and evaluation.mask_ms > 0
    rows = evaluation.server_results()
    assert [row["image_id"] for row in rows] == [50, 50, 50, 40, 20, 10, 10]
    assert {frozenset(row) for row in rows} == {frozenset({"image_id", "category_id", "bbox", "segmentation", "score"})}
    json.dumps(rows, allow_nan=False)


def test_real_annotations(shared: Path) -> None:
    """Polygons, crowds and photos: every object found exactly."""
    truth = read_ground_truth(shared / "coco" / "val.json", shared / "coco" / "images", 12)
    config = replace(CONFIGS["yolact_base"], image_size=CONFIG.image_size)
    preprocess = Preprocessor(config.image_size)
    answers = {}
    for index, record in enumerate(truth.images):
        things = [thing for thing in record.annotations if not thing.is_crowd]
        boxes = np.array([thing.box for thing in things], np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        answers[preprocess([truth.read(index)])[0].tobytes()] = NetworkDetections(
            boxes=(boxes / np.tile(record.size[::-1], 2)).astype(np.float32),
            scores=np.linspace(0.9, 0.5, len(things), dtype=np.float32),
            class_ids=np.array([config.category_ids.index(thing.category_id) for thing in things], np.int32),
            masks=np.array([decode_mask(t, record.size) for t in things], np.float32).reshape(-1, *record.size),
        )
    engine = ToldEngine(answers, metadata=replace(METADATA, config=config))
    scores = evaluate(Detector(engine), truth).scores
    for region in (scores.box, scores.mask):
        measures = (region.ap, region.ap_small, region.ap_medium, region.ap_large, region.ar)
        assert measures == pytest.approx((1, 1, 1, 1, 1))
    found = [id for id, ap in scores.mask.ap_by_category.items() if ap is not None]
    assert found == sorted(truth.count_objects()) and len(found) > 10


def test_boxes_that_are_off_reach_only_some_thresholds(tmp_path: Path) -> None:
    def shift(answer: NetworkDetections) -> NetworkDetections:
        boxes = answer.boxes.copy()
        boxes[:, 0] += 0.32 * (boxes[:, 2] - boxes[:, 0])
        return replace(answer, boxes=boxes)

    scores = run(tmp_path, shift).scores
    assert scores.box.ap == pytest.approx(0.4)  # IoU 0.68 is enough for 0.5, 0.55, 0.6 and 0.65
    assert (scores.box.ap50, scores.box.ap75) == pytest.approx((1, 0))
    assert scores.mask.ap == pytest.approx(1)


def test_wrong_classes_find_nothing(tmp_path: Path) -> None:
    scores = run(tmp_path, lambda answer: replace(answer, class_ids=(answer.class_ids + 1) % 3)).scores
    assert (scores.box.ap, scores.mask.ap, scores.box.ar) == (0, 0, 0)


def test_no_detections(tmp_path: Path) -> None:
    def nothing(answer: NetworkDetections) -> NetworkDetections:
        arrays = {name: getattr(answer, name)[:0] for name in ("boxes", "scores", "class_ids", "masks")}
        return NetworkDetections(**arrays)

    evaluation = run(tmp_path, nothing)
    assert (evaluation.scores.box.ap, evaluation.scores.mask.ap) == (0, 0)
    assert evaluation.server_results() == []


def repeated(answer: NetworkDetections, count: int, score: float, mask_scores: Any = None) -> NetworkDetections:
    """The first `count` times, all but the last one with a box and a mask elsewhere."""
    boxes, masks = (np.repeat(array[:1], count, axis=0) for array in (answer.boxes, answer.masks))
    boxes[:-1], masks[:-1] = (0, 0, 0.1, 0.1), masks[:-1, ::-1, ::-1]
    scores = np.linspace(0.99, score, count, dtype=np.float32)
    return NetworkDetections(boxes, scores, np.repeat(answer.class_ids[:1], count), masks, mask_scores)


def test_most_detections_with_the_right_one_last(tmp_path: Path) -> None:
    pictures = [Picture((80, 120), [Thing(0, (20, 40, 50, 60))])]
    evaluation = run(tmp_path, lambda answer: repeated(answer, 100, 0.1), pictures)
    assert (evaluation.scores.box.ap, evaluation.scores.mask.ap) == pytest.approx((0.01, 0.01))
    assert len(evaluation.server_results()) == 100


@pytest.mark.parametrize(
    ("kept", "limit", "counted", "ap"), [(110, None, 110, 1 / 110), (110, 105, 105, 0), (110, 90, 100, 0)]
)
def test_all_that_is_kept_counts(tmp_path: Path, kept: int, limit: int | None, counted: int, ap: float) -> None:
    """The right one of 110 is the last of its class, beyond COCO's 100."""
    pictures = [Picture((80, 120), [Thing(0, (20, 40, 50, 60))])]
    annotations, images = write_dataset(tmp_path / "data", pictures)
    metadata = replace(METADATA, postprocess=PostprocessConfig(max_detections=kept))
    answers = ToldEngine.on(pictures, [repeated(perfect(pictures[0]), 110, 0.1)]).answers
    engine = ToldEngine(answers, metadata=metadata)
    scores = evaluate_files(Detector(engine), annotations, images, max_detections=limit).scores
    assert (scores.max_detections, scores.ar_title) == (counted, f"AR{counted}")
    assert scores.ap_words == ("AP" if counted == 100 else f"AP with at most {counted} detections an image")
    assert scores.mask.ap == pytest.approx(ap) and scores.mask.ar == (ap > 0)


def test_mask_scores_rank_masks_and_only_them(tmp_path: Path) -> None:
    """Of two detections the wrong one has the better class score, the right one the better mask score."""
    pictures = [Picture((80, 120), [Thing(0, (20, 40, 50, 60))])]
    mask_scores = np.array([0.2, 0.7], np.float32)
    evaluation = run(tmp_path, lambda answer: repeated(answer, 2, 0.5, mask_scores), pictures)
    assert (evaluation.scores.box.ap, evaluation.scores.mask.ap) == pytest.approx((0.5, 1))
    assert [row["score"] for row in evaluation.box_results] == pytest.approx([0.99, 0.5])
    assert [row["score"] for row in evaluation.server_results()] == pytest.approx([0.2, 0.7])


def test_detections_on_images_without_annotations_count(tmp_path: Path) -> None:
    pictures = [Picture((60, 90)), Picture((70, 50), [Thing(0, (10, 10, 40, 60))])]
    annotations, images = write_dataset(tmp_path / "data", pictures)
    right = perfect(pictures[1])
    wrong = replace(right, scores=np.array([0.95], np.float32))
    scores = evaluate_files(Detector(ToldEngine.on(pictures, [wrong, right])), annotations, images).scores
    assert (scores.box.ap, scores.mask.ap) == pytest.approx((0.5, 0.5))


def test_only_images_without_annotations(tmp_path: Path) -> None:
    scores = run(tmp_path, pictures=[Picture((60, 90)), Picture((70, 50))]).scores
    assert scores.box.ap is None and scores.mask.ap_by_category == dict.fromkeys(CATEGORIES)


def test_a_limit_takes_the_first_images(tmp_path: Path) -> None:
    annotations, images = write_dataset(tmp_path / "data", PICTURES)
    engine = ToldEngine.on(PICTURES, [perfect(picture) for picture in PICTURES[:3]])
    for path in images.glob("[34].png"):
        path.unlink()
    evaluation = evaluate_files(Detector(engine), annotations, images, limit=3)
    assert engine.batches == [1, 1, 1]
    assert evaluation.scores.box.ap == pytest.approx(1)  # what is on the other images is not missed
    evaluation = evaluate_files(Detector(engine), annotations, images, limit=1)
    assert evaluation.scores.box.ap_by_category == pytest.approx({3: None, 7: 1, 90: 1})
    with pytest.raises(UsageError, match="limit must be at least 1"):
        evaluate_files(Detector(engine), annotations, images, limit=0)


@pytest.mark.parametrize(
    ("batch_size", "limits"), [(2, (1, None)), (5, (1, None)), (64, (1, None)), (4, (4, 4)), (1, (4, 4)), (3, (2, 4))]
)
def test_batches_change_nothing(tmp_path: Path, batch_size: int, limits: tuple[int, int | None]) -> None:
    annotations, images = write_dataset(tmp_path / "data", PICTURES)
    engine = ToldEngine.on(PICTURES, [perfect(picture) for picture in PICTURES])
    one_by_one = evaluate_files(Detector(engine), annotations, images)
    engine.min_batch, engine.max_batch = limits
    engine.batches = []
    batched = evaluate_files(Detector(engine), annotations, images, batch_size=batch_size)
    assert batched.server_results() == one_by_one.server_results()
    assert batched.scores == one_by_one.scores
    assert len(engine.batches) == -(-len(PICTURES) // batch_size)


def test_times_are_those_of_one_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three calls of 2, 2 and 1 images, which by the clock take 0.1 s each: 50, 50, 50, 50 and 100 ms."""
    annotations, images = write_dataset(tmp_path / "data", PICTURES)
    now = 0.0

    class SlowEngine(ToldEngine):
        def detect(self, images: Image) -> list[NetworkDetections]:
            nonlocal now
            now += 0.1
            return super().detect(images)

    engine = SlowEngine.on(PICTURES, [perfect(picture) for picture in PICTURES])
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    evaluation = evaluate_files(Detector(engine), annotations, images, batch_size=2)
    assert (evaluation.detector_ms, evaluation.mask_ms) == pytest.approx((50, 0))


def test_what_is_not_finite_is_wrong_and_stays_out_of_json(tmp_path: Path) -> None:
    def astray(answer: NetworkDetections) -> NetworkDetections:
        boxes, mask_scores = answer.boxes.copy(), answer.scores.copy()
        boxes[:1], mask_scores[:1] = np.nan, np.nan
        return replace(answer, boxes=boxes, mask_scores=mask_scores)

    evaluation = run(tmp_path, astray, PICTURES[:1])
    assert evaluation.scores.box.ap_by_category == pytest.approx({3: None, 7: 0.25, 90: 1}, abs=0.01)
    json.dumps(evaluation.server_results(), allow_nan=False)


def edited(folder: Path, edit: Callable[[dict[str, Any]], object]) -> tuple[Path, Path]:
    """The data set with another annotation file."""
    annotations, images = write_dataset(folder / "data", PICTURES)
    content = json.loads(annotations.read_text())
    edit(content)
    annotations.write_text(json.dumps(content))
    return annotations, images


def rename(content: dict[str, Any], **names: str) -> None:
    for category in content["categories"]:
        category["name"] = names.get(category["name"], category["name"])


WARNINGS: dict[str, tuple[Callable[[dict[str, Any]], object], str | None]] = {
    "the same": (lambda content: rename(content, dog=" Dog"), None),
    "unknown to the model": (
        lambda content: content["categories"].append({"id": 4, "name": "train"}),
        "has categories the model does not know, whose objects count as missed: 4 (train)",
    ),
    "renamed": (
        lambda content: rename(content, bus="tram", dog="cat"),
        "calls category 3 'tram', but the model calls it 'bus' (and 1 more): make sure",
    ),
}


@pytest.mark.parametrize("name", WARNINGS)
def test_warnings_about_categories(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    edit, warning = WARNINGS[name]
    annotations, images = edited(tmp_path, edit)
    engine = ToldEngine.on(PICTURES, [perfect(picture) for picture in PICTURES])
    with caplog.at_level(logging.WARNING):
        scores = evaluate_files(Detector(engine), annotations, images).scores
    assert scores.box.ap == pytest.approx(1)
    assert len(caplog.messages) == (warning is not None)
    assert warning is None or warning in caplog.messages[0]


def test_other_ids_of_the_same_names_change_nothing(tmp_path: Path) -> None:
    def turn(content: dict[str, Any]) -> None:
        other = {7: 90, 90: 3, 3: 7}
        for entry in content["categories"]:
            entry["id"] = other[entry["id"]]
        for entry in content["annotations"]:
            entry["category_id"] = other[entry["category_id"]]

    annotations, images = edited(tmp_path, turn)
    engine = ToldEngine.on(PICTURES, [perfect(picture) for picture in PICTURES])
    evaluation = evaluate_files(Detector(engine), annotations, images)
    assert evaluation.scores.mask.ap == pytest.approx(1)
    assert [row["category_id"] for row in evaluation.box_results[:3]] == [90, 90, 3]  # as the annotations number them
    truth = read_ground_truth(annotations, images, rules=ReadingRules(by_name=False))
    assert evaluate(Detector(engine), truth).scores.mask.ap == pytest.approx(0)


def test_a_category_that_the_model_does_not_know_is_missed(tmp_path: Path) -> None:
    def add(content: dict[str, Any]) -> None:
        content["categories"].append({"id": 4, "name": "train"})
        content["annotations"][0]["category_id"] = 4

    annotations, images = edited(tmp_path, add)
    engine = ToldEngine.on(PICTURES, [perfect(picture) for picture in PICTURES])
    scores = evaluate_files(Detector(engine), annotations, images).scores
    assert scores.box.ap_by_category[4] == 0
    assert scores.mask.ap_by_category[3] == pytest.approx(1)


def test_a_category_that_the_annotations_do_not_have_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def remove(content: dict[str, Any]) -> None:
        content["categories"] = [c for c in content["categories"] if c["id"] != 90]
        content["annotations"] = [a for a in content["annotations"] if a["category_id"] != 90]

    annotations, images = edited(tmp_path, remove)
    engine = ToldEngine.on(PICTURES, [perfect(picture) for picture in PICTURES])
    scores = evaluate_files(Detector(engine), annotations, images).scores
    assert scores.box.ap_by_category == pytest.approx({3: 1, 7: 1})
    assert "lacks categories of the model, whose detections are left out: 90 (dog)" in caplog.text


def test_annotations_without_area_are_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def flatten(content: dict[str, Any]) -> None:
        content["annotations"][0] |= {"bbox": [10, 10, 0, 30], "segmentation": []}

    annotations, images = edited(tmp_path, flatten)
    engine = ToldEngine.on(PICTURES, [perfect(picture) for picture in PICTURES])
    scores = evaluate_files(Detector(engine), annotations, images).scores
    assert scores.box.ap_by_category[3] == pytest.approx(1) and 0 < scores.box.ap_by_category[7] < 1
    assert "left out 1 annotation whose box has no area" in caplog.text


def shift_ids(content: dict[str, Any]) -> None:
    rename(content, cup="mug")
    for entry in content["categories"]:
        entry["id"] += 100
    for entry in content["annotations"]:
        entry["category_id"] += 100


REJECTED: dict[str, tuple[Callable[[dict[str, Any]], object], type[Exception], str]] = {
    "no category in common": (
        shift_ids,
        DatasetError,
        r"has the categories 103 \(bus\), 107 \(mug\), 190 \(dog\), but the model has 7 \(cup\), 90 \(dog\), 3 \(bus\)",
    ),
    "another size": (
        lambda content: content["images"][2].update(height=61),
        DatasetError,
        r"2\.png has 90x60 pixels, but its annotations say 90x61",
    ),
    "damaged mask": (
        lambda content: content["annotations"][1]["segmentation"].update(counts="nonsense~~~"),
        DatasetError,
        r"annotations\.json: annotation 2 has a character among its run lengths",
    ),
    "missing image": (
        lambda content: content["images"][1].update(file_name="gone.png"),
        DatasetError,
        r"gone\.png is missing, though annotated",
    ),
}


@pytest.mark.parametrize("name", REJECTED)
def test_rejected_annotations(tmp_path: Path, name: str) -> None:
    edit, kind, message = REJECTED[name]
    annotations, images = edited(tmp_path, edit)
    engine = ToldEngine.on(PICTURES, [perfect(picture) for picture in PICTURES])
    with pytest.raises(kind, match=message):
        evaluate_files(Detector(engine), annotations, images)


def test_a_damaged_image_ends_the_evaluation(tmp_path: Path) -> None:
    annotations, images = write_dataset(tmp_path / "data", PICTURES)
    engine = ToldEngine.on(PICTURES, [perfect(picture) for picture in PICTURES])
    (images / "3.png").write_bytes((images / "3.png").read_bytes()[:-200])
    with pytest.raises(ImageError, match=r"3\.png: this PNG is truncated"):
        evaluate_files(Detector(engine), annotations, images)


def test_nothing_is_printed_where_stderr_is_no_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, progress=True)
    assert capfd.readouterr() == ("", "")
