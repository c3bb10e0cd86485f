"""NumPy post-processing against the official code's recorded decisions and against plain loops."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from recorded import CONFIG_NAMES

from yolact.runtime.config import ModelConfig, Nms, PostprocessConfig
from yolact.runtime.errors import UsageError
from yolact.runtime.images.geometry import ImageTransform
from yolact.runtime.postprocess.mask_assembly import assemble_masks
from yolact.runtime.postprocess.nms import class_probabilities, decode_boxes, find_candidates, suppress
from yolact.runtime.postprocess.priors import make_priors
from yolact.training.models.configs import CONFIGS

RECORDED = ["yolact_resnet50", "yolact_plus_resnet50"]
VARIANTS: dict[str, Nms] = {"fast": "fast", "ccfast": "cross-class", "trad": "traditional"}


@pytest.fixture(params=RECORDED)
def recorded(request: pytest.FixtureRequest, shared: Path) -> np.lib.npyio.NpzFile:
    return np.load(shared / "goldens" / f"unit_detect_post.{request.param}.vga480x640.npz")


@pytest.mark.parametrize("variant", VARIANTS)
def test_keeps_what_the_official_code_keeps(recorded: np.lib.npyio.NpzFile, variant: str) -> None:
    boxes = decode_boxes(recorded["in.loc"], recorded["in.priors"])
    np.testing.assert_allclose(boxes, recorded["decoded_boxes"], rtol=0, atol=1e-6)
    # The cross-class variant of the official code is not cut to 100 detections.
    config = PostprocessConfig(nms=VARIANTS[variant], max_detections=200 if variant == "ccfast" else 100)
    kept = suppress(boxes, class_probabilities(recorded["in.logits"]), 550, config)
    np.testing.assert_array_equal(kept.class_ids, recorded[f"{variant}.class"])
    np.testing.assert_allclose(kept.scores, recorded[f"{variant}.score"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(boxes[kept.prior_indices], recorded[f"{variant}.box"], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(recorded["in.mask"][kept.prior_indices], recorded[f"{variant}.mask"])


def test_masks_are_the_official_ones_bit_for_bit(recorded: np.lib.npyio.NpzFile) -> None:
    prototypes = recorded["in.proto"].transpose(2, 0, 1)
    probabilities = assemble_masks(prototypes, recorded["fast.mask"], recorded["fast.box"])
    transform = ImageTransform(tuple(recorded["image_hw"].tolist()))
    wrong = 0
    for mask, packed in zip(probabilities, recorded["fast.post_masks_packed"], strict=True):
        full = np.zeros(transform.image_size, bool)
        region, part = transform.upsample_mask(mask)
        full[region.slices] = part
        wrong += int((full != np.unpackbits(packed, count=full.size).reshape(full.shape)).sum())
    assert wrong <= 4  # of 30 million; rounding at probabilities of exactly about one half


@pytest.mark.parametrize("name", CONFIG_NAMES)
def test_priors_are_the_official_ones(shared: Path, name: str) -> None:
    stored = np.load(shared / "goldens" / f"{name}.seed1.sq550.npz")
    priors = make_priors(CONFIGS[name])
    assert priors.shape == tuple(stored["priors.shape"])
    np.testing.assert_array_equal(priors.reshape(-1)[stored["priors.idx"]], stored["priors.val"])
    np.testing.assert_allclose(priors.astype(np.float64).sum(), stored["priors.stats"][0], rtol=1e-12)


def test_pascal_priors_keep_their_aspect() -> None:
    # Recorded nowhere, so by hand: scale 32, ratios 1, 1/2 and 2 as width to height.
    first = make_priors(CONFIGS["yolact_resnet50_pascal"])[:3] * 550
    np.testing.assert_allclose(first[:, 0], 0.5 / 69 * 550, rtol=1e-6)
    np.testing.assert_allclose(first[:, 2], 32 * np.sqrt([1, 0.5, 2]), rtol=1e-6)
    np.testing.assert_allclose(first[:, 3], 32 / np.sqrt([1, 0.5, 2]), rtol=1e-6)


def fast_nms_by_loops(boxes: np.ndarray, probabilities: np.ndarray, config: PostprocessConfig) -> list[tuple[int, int]]:
    """(class, prior) best first, one pair of boxes at a time."""
    candidates = [p for p in range(len(boxes)) if probabilities[p].max() > np.float32(config.score_threshold)]
    kept = []
    for class_id in range(probabilities.shape[1]):
        ranked = sorted(candidates, key=lambda p: (-probabilities[p, class_id], p))[: config.top_k]
        for rank, prior in enumerate(ranked):
            if all(iou(boxes[better], boxes[prior]) <= config.nms_threshold for better in ranked[:rank]):
                kept.append((class_id, prior))
    return sorted(kept, key=lambda pair: -probabilities[pair[1], pair[0]])[: config.max_detections]


def iou(a: np.ndarray, b: np.ndarray) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    intersection = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - intersection
    return float("nan") if union == 0 else intersection / union


@pytest.mark.parametrize(("top_k", "max_detections"), [(20, 15), (5, 15), (3, 1), (60, 1), (200, 100)])
@pytest.mark.parametrize("seed", range(4))
def test_fast_nms_is_what_the_loops_say(seed: int, top_k: int, max_detections: int) -> None:
    rng = np.random.default_rng(seed)
    # Corners on a coarse grid make equal boxes, boxes without area and IoUs of exactly one half; few score levels
    # make ties.
    corners = rng.integers(0, 6, (60, 4)).astype(np.float32) / 8
    boxes = np.concatenate([np.minimum(corners[:, :2], corners[:, 2:]), np.maximum(corners[:, :2], corners[:, 2:])], 1)
    probabilities = (rng.integers(0, 9, (60, 3)) / 10).astype(np.float32)
    config = PostprocessConfig(score_threshold=0.5, top_k=top_k, max_detections=max_detections)
    kept = suppress(boxes, probabilities, 550, config)
    expected = fast_nms_by_loops(boxes, probabilities, config)
    assert list(zip(kept.class_ids.tolist(), kept.prior_indices.tolist(), strict=True)) == expected
    assert len(expected) > 0


def test_fast_nms_looks_for_the_last_detection() -> None:
    """Where one box suppresses hundreds of the best, those that are left are far down in the order."""
    boxes = np.array([[0, 0, 1, 1]] * 300 + [[2, 2, 3, 3]], np.float32)
    probabilities = np.linspace(0.9, 0.1, 301, dtype=np.float32)[:, None]
    kept = suppress(boxes, probabilities, 550, PostprocessConfig(top_k=400, max_detections=2))
    assert kept.prior_indices.tolist() == [0, 300]


@pytest.mark.parametrize("threshold", [0, 1e-9, 0.05, 0.5, 0.999, 1])
@pytest.mark.parametrize("classes", [1, 80])
def test_no_candidate_is_missed(classes: int, threshold: float) -> None:
    rng = np.random.default_rng(classes)
    logits = rng.normal(0, 4, (4000, classes + 1)).astype(np.float32)
    logits[::3, 2:] = -1e4  # one class beside the background, whose bound is its probability
    with np.errstate(divide="ignore"):
        odds = np.float32(np.log(np.float64(threshold)) - np.log1p(-np.float64(threshold)))
    logits[:50, 1] = logits[:50, 0] + np.clip(odds, -20, 20) + rng.normal(0, 1e-6, 50).astype(np.float32)
    found = find_candidates(logits, threshold)
    exact = np.flatnonzero(class_probabilities(logits).max(axis=1) > np.float32(threshold))
    assert np.isin(exact, found).all()
    few = np.exp(logits[:, 1:].max(axis=1).astype(np.float64) - logits[:, 0])
    assert ((few[found] > 0.98 * threshold / (1 - threshold)) if threshold < 1 else ~np.isfinite(few[found])).all()


def test_a_prior_that_is_no_number_is_no_candidate() -> None:
    logits = np.array([[0, np.nan], [np.nan, 3], [0, 3], [np.inf, np.inf]], np.float32)
    assert find_candidates(logits, 0.05).tolist() == [2]


@pytest.mark.parametrize("variant", VARIANTS.values())
def test_nothing_above_the_threshold_is_no_detection(variant: Nms) -> None:
    # 0.05 is no candidate: the threshold is strict, in float32.
    probabilities = np.full((7, 3), 0.05, np.float32)
    kept = suppress(np.zeros((7, 4), np.float32), probabilities, 550, PostprocessConfig(nms=variant))
    assert [len(array) for array in kept] == [0, 0, 0]


def test_overlap_of_exactly_the_threshold() -> None:
    boxes = np.array([[0, 0, 2, 1], [0, 0, 1, 1]], np.float32)  # IoU 1/2
    probabilities = np.array([[0.9], [0.8]], np.float32)
    assert len(suppress(boxes, probabilities, 1, PostprocessConfig()).scores) == 2
    larger = boxes + np.array([[0, 0, 0, 0], [0, 0, 2e-5, 0]], np.float32)
    assert len(suppress(larger, probabilities, 1, PostprocessConfig()).scores) == 1
    # Traditional NMS suppresses from the threshold on; pixel boxes 0..1 and 0..0 are two and one wide.
    boxes = np.array([[0, 0, 1, 0], [0, 0, 0, 0]], np.float32)
    for threshold, kept in ((0.5, 1), (0.51, 2)):
        config = PostprocessConfig(nms="traditional", nms_threshold=threshold)
        assert len(suppress(boxes, probabilities, 1, config).scores) == kept


def test_one_candidate_is_a_detection_of_every_class() -> None:
    probabilities = np.full((1, 80), 0.001, np.float32)
    probabilities[0, 7] = 0.9
    kept = suppress(np.array([[0, 0, 1, 1]], np.float32), probabilities, 550, PostprocessConfig())
    assert len(kept.scores) == 80 and kept.class_ids[0] == 7


REJECTED = {
    "score_threshold": (1.5, "score_threshold must lie in"),
    "nms_threshold": (-0.1, "nms_threshold must lie in"),
    "top_k": (0, "top_k must be a whole number of at least 1"),
    "max_detections": (2.5, "max_detections must be a whole number of at least 1"),
    "nms": ("soft", "nms must be one of fast, cross-class, traditional"),
}


@pytest.mark.parametrize("field", REJECTED)
def test_rejected_settings(field: str) -> None:
    value, message = REJECTED[field]
    with pytest.raises(UsageError, match=message):
        PostprocessConfig(**{field: value})


REJECTED_MODELS = {
    "backbone": ("vgg16", "backbone must be one of resnet50"),
    "image_size": ("550", "image_size must be a positive whole number"),
    "class_names": ((), "class_names must be at least one text"),
    "class_names of a blank": ((" ", "dog"), r"class_names\[0\] must have a letter or another sign that can be seen"),
    "class_names of nothing to see": (("dog", "\u200b\ufeff"), r"class_names\[1\] must have a letter or another"),
    "class_names too long": (("dog", "x" * 201), r"class_names\[1\] must be a text of at most 200 characters"),
    "scales": (((24,), (48,)), "scales must be 5 levels"),
}


@pytest.mark.parametrize("field", REJECTED_MODELS)
def test_rejected_models(field: str) -> None:
    value, message = REJECTED_MODELS[field]
    with pytest.raises(UsageError, match=message):
        replace(CONFIGS["yolact_base"], **{field.split()[0]: value})


def test_configuration_survives_json() -> None:
    for config in CONFIGS.values():
        assert ModelConfig.from_json(config.to_json()) == config
