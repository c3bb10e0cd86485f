"""Fast NMS ranks the best pairs of candidate and class first, and all of them where too few survive: the result is one.

`ADVERSARIAL_IMAGES` of the environment is how many images are compared, else `IMAGES`; 10,000 take minutes.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fast_nms_calls import Arrays, check, make_inputs, run_and_tell

from yolact.runtime.config import PostprocessConfig

if TYPE_CHECKING:
    from kernel_backends import Backend

IMAGES = 72
BATCH = 3
EVERYTHING = 1024  # detections, for which no image here has pairs enough that any would be left out


def crowded_inputs(priors: int, classes: int, spots: int) -> Arrays:
    """All boxes near one of a few spots, so that most suppress each other, but for 30 elsewhere that score less."""
    inputs = make_inputs(2, priors, classes, seed=spots, dtype=np.float16)
    rng = np.random.default_rng(spots)
    centres = np.linspace(0.1, 0.9, spots)[rng.integers(spots, size=priors)]
    inputs["priors"] = np.stack([centres, centres, *np.full((2, priors), 0.05)], axis=1).astype(np.float32)
    inputs["priors"][-30:, 1] = 2 + np.arange(30)
    inputs["locations"] *= 0.1
    inputs["confidences"][..., 0] = -5
    inputs["confidences"][:, -30:] *= 0.2
    return inputs


@pytest.mark.parametrize(
    ("spots", "top_k", "limit", "passes"),
    [
        (600, 400, 7, "best"),  # most of the best survive
        (1, 400, 8, "second"),  # one of each list does, then those elsewhere
        (3, 400, 24, "second"),
        (1, 400, 30, "second"),
        (3, 1, 7, "all"),  # no list has more to rank
        (600, 40, 100, "all"),
    ],
)
def test_the_best_pairs_decide_or_all_are_ranked(
    backend: Backend, spots: int, top_k: int, limit: int, passes: str
) -> None:
    config = PostprocessConfig(top_k=top_k, max_detections=limit, nms_threshold=0.3)
    inputs = crowded_inputs(400, 7, spots)
    outputs, told = run_and_tell(backend, inputs, config)
    assert check(outputs, inputs, config) == [limit] * 2
    assert told == [passes] * 2


def tied(inputs: Arrays, rng: np.random.Generator) -> None:
    """Scores of 1, 1/2, 1/3... and boxes on a coarse grid."""
    logits = inputs["confidences"]
    logits[:] = np.where(rng.random(logits.shape) < 0.4, 0, -200)
    logits[..., 0] = 0
    inputs["locations"][:] = 0
    inputs["priors"][:] = rng.integers([1, 1, 0, 0], [6, 6, 4, 4], inputs["priors"].shape) / 4


def equal(inputs: Arrays, rng: np.random.Generator) -> None:
    inputs["confidences"][:] = rng.integers(-2, 3)


def suppressed(inputs: Arrays, rng: np.random.Generator) -> None:
    """Every box suppresses every other one."""
    inputs["priors"][:] = 0.5
    inputs["locations"] *= 0.05


def broken(inputs: Arrays, rng: np.random.Generator) -> None:
    """Boxes and logits that are no numbers among others."""
    for name, share in (("locations", 0.1), ("confidences", 0.02)):
        value = rng.choice([np.nan, np.inf, -np.inf])
        inputs[name][rng.random(inputs[name].shape) < share] = value


def few(inputs: Arrays, rng: np.random.Generator) -> None:
    """Most images have fewer candidates than detections are wanted."""
    shape = inputs["confidences"].shape[:2]
    inputs["confidences"][..., 0] += np.where(rng.random(shape) < 0.05, 0, 60)


def clustered(inputs: Arrays, rng: np.random.Generator) -> None:
    """Many boxes on few objects, which score alike."""
    priors = len(inputs["priors"])
    objects = rng.integers(max(1, priors // 20), size=priors)
    inputs["priors"] = inputs["priors"][objects]
    inputs["locations"] *= 0.2
    inputs["confidences"] = inputs["confidences"][:, objects]
    inputs["confidences"][..., 0] -= 3


KINDS: tuple[Callable[[Arrays, np.random.Generator], None], ...] = (tied, equal, suppressed, broken, few, clustered)


def test_both_passes_find_what_one_over_everything_finds(backend: Backend) -> None:
    """Of as many detections as there can be, those wanted come first. All of these are found in one pass."""
    rng = np.random.default_rng(3)
    counted: Counter[str] = Counter()
    for batch in range(int(os.environ.get("ADVERSARIAL_IMAGES", IMAGES)) // BATCH):
        priors, classes = int(rng.choice([40, 100, 230])), int(rng.choice([1, 5, 12, 30]))
        dtype = (np.float32, np.float16)[batch % 2]
        inputs = make_inputs(BATCH, priors, classes, seed=batch, dtype=dtype, coefficients=8)
        KINDS[batch % len(KINDS)](inputs, rng)
        config = PostprocessConfig(
            top_k=int(rng.choice([5, 60, 200, 1000])),
            max_detections=int(rng.choice([1, 5, 20, 40])),
            nms_threshold=float(rng.choice([0, 0.1, 0.3, 0.5, 1])),
            score_threshold=float(rng.choice([0, 0.001, 0.05])),
        )
        outputs, passes = run_and_tell(backend, inputs, config)
        everything, only = run_and_tell(backend, inputs, replace(config, max_detections=EVERYTHING))
        assert only == ["all"] * BATCH
        counted.update(passes)
        count = np.minimum(everything.pop("num_detections"), config.max_detections)
        np.testing.assert_array_equal(outputs.pop("num_detections"), count)
        for name, array in outputs.items():
            np.testing.assert_array_equal(array, everything[name][:, : config.max_detections], err_msg=str(config))
    print(dict(counted))
    assert set(counted) == {"all", "best", "second"}
