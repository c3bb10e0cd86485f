"""The Fast NMS kernels against NumPy post-processing (`yolact.runtime.postprocess.nms`)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fast_nms_calls import Arrays, check, make_inputs, params_of, run, run_and_tell
from ml_dtypes import bfloat16

from yolact.runtime.config import PostprocessConfig
from yolact.runtime.cuda.kernels import FastNmsTensors
from yolact.runtime.errors import UsageError, YolactError

if TYPE_CHECKING:
    from kernel_backends import Backend


CONFIGS = {
    "defaults": PostprocessConfig(),
    "odd top-k": PostprocessConfig(top_k=37, max_detections=30),
    "top-k of one": PostprocessConfig(top_k=1, max_detections=3),
    "more room than detections": PostprocessConfig(top_k=150, max_detections=400, nms_threshold=0.1),
    "no overlap allowed": PostprocessConfig(nms_threshold=0.0),
    "all overlap allowed": PostprocessConfig(nms_threshold=1.0),
    "every prior a candidate": PostprocessConfig(score_threshold=0.0),
    "no candidate": PostprocessConfig(score_threshold=1.0),
    "cross-class": PostprocessConfig(nms="cross-class"),
    "cross-class, odd": PostprocessConfig(nms="cross-class", top_k=99, max_detections=50),
}


@pytest.mark.parametrize(
    ("batch", "priors", "classes", "dtype"),
    [(1, 517, 3, np.float32), (3, 258, 20, np.float16), (8, 61, 1, bfloat16), (2, 1999, 15, np.float32)],
)
@pytest.mark.parametrize("name", CONFIGS)
def test_detects_what_numpy_detects(
    backend: Backend, name: str, batch: int, priors: int, classes: int, dtype: np.dtype
) -> None:
    inputs = make_inputs(batch, priors, classes, seed=priors, dtype=dtype)
    counts = check(run(backend, inputs, CONFIGS[name]), inputs, CONFIGS[name])
    assert len(counts) == batch and (max(counts) == 0) == (name == "no candidate")


def test_the_most_that_is_ranked(backend: Backend) -> None:
    config = PostprocessConfig(top_k=1024, max_detections=1024)
    inputs = make_inputs(1, 2111, 3, seed=9)
    assert min(check(run(backend, inputs, config), inputs, config)) > 100


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize(("batch", "priors", "classes"), [(1, 40, 1203), (3, 1001, 2), (1, 5, 4096), (1, 1, 1)])
def test_unusual_sizes(backend: Backend, batch: int, priors: int, classes: int, dtype: np.dtype) -> None:
    """1,203 classes are LVIS's; 4,096 the most; rows of all these sizes begin at any alignment."""
    config = PostprocessConfig(score_threshold=0.001, top_k=50, max_detections=64)
    inputs = make_inputs(batch, priors, classes, seed=classes, dtype=dtype, coefficients=3)
    inputs["confidences"][:, 0, 0] = -30  # at least one candidate
    assert min(check(run(backend, inputs, config), inputs, config)) > 0


def test_the_official_size(backend: Backend) -> None:
    """19,248 priors, 81 classes and 32 coefficients, as YOLACT-550 has them; few candidates, as in a photo."""
    config = PostprocessConfig()
    inputs = make_inputs(1, 19248, 80, seed=0, dtype=np.float16, coefficients=32)
    inputs["confidences"][:, :, 0] += np.where(np.random.default_rng(1).random(19248) < 0.02, 0, 30).astype(np.float16)
    outputs, passes = run_and_tell(backend, inputs, config)
    assert check(outputs, inputs, config) == [100]
    assert passes == ["best"]


def tied_inputs(batch: int, priors: int, classes: int, seed: int) -> Arrays:
    """Scores of exactly 1, 1/2, 1/3... and boxes on a coarse grid: equal scores, equal boxes, boxes without area and
    overlaps of exactly one half, all exact in float32: the exponentials of 0 and of -infinity are, on a GPU too."""
    inputs = make_inputs(batch, priors, classes, seed)
    rng = np.random.default_rng(seed)
    inputs["confidences"] = np.where(rng.random((batch, priors, classes + 1)) < 0.4, 0, -np.inf).astype(np.float32)
    inputs["confidences"][..., 0] = 0
    inputs["locations"][:] = 0
    inputs["priors"] = (rng.integers([1, 1, 0, 0], [6, 6, 4, 4], (priors, 4)) / 4).astype(np.float32)
    return inputs


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("priors", "classes"), [(300, 20), (777, 3)])
def test_equal_scores_and_overlaps_at_the_threshold(backend: Backend, name: str, priors: int, classes: int) -> None:
    inputs = tied_inputs(3, priors, classes, seed=classes)
    counts = check(run(backend, inputs, CONFIGS[name]), inputs, CONFIGS[name])
    assert (max(counts) == 0) == (name == "no candidate")


def test_more_survivors_of_one_score_than_are_sorted_at_once(backend: Backend) -> None:
    config = PostprocessConfig(score_threshold=0.0, nms_threshold=1.0, max_detections=40)
    inputs = make_inputs(1, 50, 40, seed=3, dtype=np.float16)
    inputs["confidences"][:] = 0
    assert check(run(backend, inputs, config), inputs, config) == [40]


def test_all_scores_equal(backend: Backend) -> None:
    """Then the order is by class and prior alone."""
    inputs = make_inputs(2, 900, 4, seed=1)
    inputs["confidences"][:] = 0
    for nms in ("fast", "cross-class"):
        config = PostprocessConfig(nms=nms, nms_threshold=1.0, top_k=300, max_detections=500)
        outputs = run(backend, inputs, config)
        assert check(outputs, inputs, config) == ([500, 500] if nms == "fast" else [300, 300])


@pytest.mark.parametrize(("threshold", "count"), [(0.25, 0), (0.2499, 1)])
def test_score_of_exactly_the_threshold_is_no_candidate(backend: Backend, threshold: float, count: int) -> None:
    inputs = make_inputs(1, 1, 3, seed=2)
    inputs["confidences"][:] = 0
    config = PostprocessConfig(score_threshold=threshold, top_k=5, max_detections=1)
    assert check(run(backend, inputs, config), inputs, config) == [count]


def test_classes_of_one_probability_but_different_logits(backend: Backend) -> None:
    """The lower class wins where float32 probabilities are equal.

    Here they are where the exponential of -7.45e-9 is 1. A CPU's is. A GPU's may err by 2 units in the last place, and
    where it is less than 1 the class with the larger logit wins. Source: CUDA C++ Programming Guide, Mathematical
    Functions: expf errs by at most 2 ulp, division is IEEE 754's; CUDA Math API, expf: exact of 0 and of infinities.
    """
    from kernel_backends import HostBackend

    config = PostprocessConfig(nms="cross-class", max_detections=5)
    inputs = make_inputs(1, 3, 3, seed=2)
    inputs["confidences"][:] = np.array([-50, 0.1, 0.1 + 1.5e-8, 0.1], np.float32)
    assert inputs["confidences"][0, 0, 2] > inputs["confidences"][0, 0, 1]
    outputs = run(backend, inputs, config)
    winner = int(outputs["classes"][0, 0])
    assert winner == 0 or (winner == 1 and not isinstance(backend, HostBackend))
    inputs["confidences"][..., 1 + winner] += np.float32(1e-6)  # for an oracle without a tie
    check(outputs, inputs, config)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("nms", ["fast", "cross-class"])
@pytest.mark.parametrize("name", ["locations", "confidences", "coefficients", "priors"])
def test_values_that_are_no_numbers(backend: Backend, name: str, nms: str, value: float) -> None:
    """Some of them among others, then nothing else."""
    config = PostprocessConfig(nms=nms, score_threshold=0.01)
    inputs = make_inputs(2, 400, 6, seed=3)
    rng = np.random.default_rng(4)
    inputs[name] = np.where(rng.random(inputs[name].shape) < 0.05, np.float32(value), inputs[name])
    with np.errstate(invalid="ignore", over="ignore"):
        assert min(check(run(backend, inputs, config), inputs, config)) > 0
        inputs[name] = np.full_like(inputs[name], value)
        check(run(backend, inputs, config), inputs, config)


def test_extreme_logits_and_boxes(backend: Backend) -> None:
    config = PostprocessConfig(score_threshold=0.2)
    inputs = make_inputs(3, 500, 7, seed=5)
    inputs["confidences"] *= 1e30
    inputs["locations"][0] *= 1e3  # exp overflows
    inputs["locations"][1, :, 2:] = -1e9  # no area
    inputs["priors"][:, :2] = np.random.default_rng(6).uniform(-3, 4, (500, 2))  # outside of the image
    with np.errstate(invalid="ignore", over="ignore"):
        assert min(check(run(backend, inputs, config), inputs, config)) > 0


@pytest.mark.parametrize("nms", ["fast", "cross-class"])
def test_images_without_candidates_beside_others(backend: Backend, nms: str) -> None:
    config = PostprocessConfig(nms=nms, max_detections=10)
    inputs = make_inputs(8, 200, 5, seed=7)
    inputs["confidences"][::2, :, 0] = 90
    assert check(run(backend, inputs, config), inputs, config) == [0, 10] * 4


def test_no_image(backend: Backend) -> None:
    outputs = run(backend, make_inputs(0, 10, 3, seed=0), PostprocessConfig())
    assert all(array.size == 0 for array in outputs.values())


@pytest.mark.parametrize("nms", ["fast", "cross-class"])
def test_the_order_of_threads_changes_nothing(backend: Backend, nms: str) -> None:
    """Bit for bit, equal scores included, and more candidates than one round takes."""
    config = PostprocessConfig(nms=nms, top_k=64, max_detections=40)
    for inputs in (make_inputs(2, 700, 9, seed=8), tied_inputs(2, 700, 9, seed=8)):
        first = run(backend, inputs, config)
        assert min(check(first, inputs, config)) > 0
        for seed in (1, 2, 3):
            backend.schedule(seed)
            again = run(backend, inputs, config)
            backend.schedule(0)
            for name, array in first.items():
                np.testing.assert_array_equal(again[name], array)


REJECTED = {
    "batch": -1,
    "priors": 0,
    "classes": (0, 4097),
    "coefficients": 0,
    "top_k": (0, 1025, -(2**31)),
    "max_detections": (0, 1025),
    "cross_class": 2,
    "type": (3, -1),
    "score_threshold": (-0.1, 1.1, np.nan),
    "nms_threshold": (-0.1, 2.0, np.inf),
    "centre_variance": (-1.0, np.nan),
    "size_variance": np.inf,
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in REJECTED.items() for value in np.atleast_1d(values).tolist()]
)
def test_rejects(backend: Backend, name: str, value: float) -> None:
    good = params_of(make_inputs(1, 10, 3, seed=0), PostprocessConfig())
    with pytest.raises(UsageError, match=f"{name} must be .*, got"):
        backend.library.fast_nms_workspace(replace(good, **{name: value}))


def test_rejects_more_classes_and_priors_than_it_can_tell_apart(backend: Backend) -> None:
    good = params_of(make_inputs(1, 10, 3, seed=0), PostprocessConfig())
    with pytest.raises(UsageError, match=r"classes \* priors must be below 4294967295, got 4096 \* 1048576"):
        backend.library.fast_nms_workspace(replace(good, classes=4096, priors=1 << 20))


@pytest.mark.parametrize("name", ["priors", "boxes", "workspace"])
def test_rejects_addresses_that_are_not_aligned(backend: Backend, name: str) -> None:
    params = params_of(make_inputs(1, 10, 3, seed=0), PostprocessConfig())
    aligned = dict.fromkeys(FastNmsTensors.__dataclass_fields__, 4096) | {"workspace": 4096}
    aligned[name] += 8
    workspace = aligned.pop("workspace")
    with pytest.raises(YolactError, match=r"\b716\b|[Mm]isaligned"):
        backend.library.fast_nms(params, FastNmsTensors(**aligned), workspace, backend.stream)
