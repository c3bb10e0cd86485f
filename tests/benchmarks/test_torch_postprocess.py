"""The PyTorch post-processing that the CUDA kernels are compared with against NumPy post-processing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fast_nms_calls import make_inputs, oracle

from benchmarks import torch_postprocess
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.postprocess.mask_assembly import assemble_masks

GRID = (17, 23)
BATCH, PRIORS, CLASSES, COEFFICIENTS = 3, 700, 9, 8
CONFIGS = {
    "defaults": PostprocessConfig(),
    "odd": PostprocessConfig(top_k=37, max_detections=30, nms_threshold=0.3),
    "more room than detections": PostprocessConfig(top_k=5, max_detections=60, nms_threshold=0.1),
    "fewer priors than top-k": PostprocessConfig(top_k=1000, max_detections=1000),
    "every prior a candidate": PostprocessConfig(score_threshold=0.0),
}
FORMS = ("official", "batched")


def inputs(dtype: type[np.floating] = np.float32) -> dict[str, np.ndarray]:
    """The third image has fewer candidates than the others, but some."""
    arrays = make_inputs(BATCH, PRIORS, CLASSES, seed=21, dtype=dtype, coefficients=COEFFICIENTS)
    arrays["confidences"][2, 9:, 0] = 60
    rng = np.random.default_rng(22)
    arrays["prototypes"] = rng.gamma(1, 2, (BATCH, COEFFICIENTS, *GRID)).astype(dtype)
    return arrays


def run(form: str, arrays: dict[str, np.ndarray], config: PostprocessConfig) -> dict[str, np.ndarray]:
    heads = torch_postprocess.Heads(**{name: torch.from_numpy(array) for name, array in arrays.items()})
    outputs = getattr(torch_postprocess, form)(heads, config)
    return {name: array.numpy() for name, array in outputs._asdict().items()}


def check(found: dict[str, np.ndarray], arrays: dict[str, np.ndarray], config: PostprocessConfig, atol: float) -> None:
    rows = (BATCH, config.max_detections)
    shapes = {"num_detections": (BATCH, 1), "boxes": (*rows, 4), "scores": rows, "classes": rows}
    assert {name: array.shape for name, array in found.items()} == shapes | {"masks": (*rows, *GRID)}
    assert [array.dtype.name for array in found.values()] == ["int32", "float32", "float32", "int32", "float32"]
    for image, count in enumerate(found["num_detections"].ravel()):
        boxes, expected = oracle(arrays, image, config)
        assert count == len(expected.scores)
        boxes, coefficients = boxes[expected.prior_indices], arrays["coefficients"][image, expected.prior_indices]
        np.testing.assert_allclose(found["scores"][image, :count], expected.scores, rtol=1e-5, atol=0)
        np.testing.assert_array_equal(found["classes"][image, :count], expected.class_ids)
        np.testing.assert_allclose(found["boxes"][image, :count], boxes, rtol=1e-5, atol=1e-6)
        masks = assemble_masks(arrays["prototypes"][image].astype(np.float32), coefficients.astype(np.float32), boxes)
        np.testing.assert_allclose(found["masks"][image, :count], masks, rtol=0, atol=atol)
        assert masks.any() or not count
        for name, array in found.items():
            assert name == "num_detections" or not array[image, count:].any(), f"{name} past the count"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CONFIGS)
def test_detects_what_numpy_detects(form: str, name: str) -> None:
    arrays, config = inputs(), CONFIGS[name]
    found = run(form, arrays, config)
    check(found, arrays, config, atol=1e-5)
    assert found["num_detections"].min() > 0


@pytest.mark.parametrize("form", FORMS)
def test_16_bits(form: str) -> None:
    """Scores and boxes are as exact as with 32; sums of the masks round."""
    arrays, config = inputs(np.float16), PostprocessConfig()
    check(run(form, arrays, config), arrays, config, atol=5e-3)


@pytest.mark.parametrize("form", FORMS)
def test_images_without_candidates_beside_others(form: str) -> None:
    arrays, config = inputs(), PostprocessConfig()
    arrays["confidences"][::2, :, 0] = 90
    found = run(form, arrays, config)
    check(found, arrays, config, atol=1e-5)
    assert found["num_detections"].ravel().tolist() == [0, 100, 0]


@pytest.mark.parametrize("form", FORMS)
def test_overlaps_of_exactly_the_threshold_are_allowed(form: str) -> None:
    """A box and its upper half, both of one class, exact in float32; just above half it goes."""
    arrays = make_inputs(BATCH, 2, 1, seed=0, coefficients=COEFFICIENTS)
    arrays["locations"][:] = 0
    arrays["confidences"][:] = np.array([[0, 6], [0, 5]], np.float32)
    arrays["prototypes"] = np.ones((BATCH, COEFFICIENTS, *GRID), np.float32)
    for height, count in ((0.5, 2), (0.500001, 1)):
        arrays["priors"] = np.array([[0.5, 0.5, 1, 1], [0.5, height / 2, 1, height]], np.float32)
        config = PostprocessConfig()
        found = run(form, arrays, config)
        check(found, arrays, config, atol=1e-5)
        assert found["num_detections"].ravel().tolist() == [count] * BATCH
