"""Calls of the Fast NMS kernel, and what NumPy makes of the same inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from element_types import ELEMENT_TYPES
from numpy.typing import DTypeLike

from yolact.runtime.config import PostprocessConfig
from yolact.runtime.cuda.kernels import FastNmsParams, FastNmsTensors
from yolact.runtime.postprocess.nms import Survivors, class_probabilities, decode_boxes, suppress

if TYPE_CHECKING:
    from kernel_backends import Backend


Arrays = dict[str, np.ndarray]


STATE_BYTES = (4 + 2 * 128) * 4
"""Of `ImageState` in plugins/fast_nms/scratch.cuh; the states of all images come first in the workspace."""

INPUTS = ("locations", "confidences", "coefficients", "priors")


def params_of(inputs: Arrays, config: PostprocessConfig) -> FastNmsParams:
    batch, priors, columns = inputs["confidences"].shape
    return FastNmsParams(
        batch=batch,
        priors=priors,
        classes=columns - 1,
        coefficients=inputs["coefficients"].shape[2],
        top_k=config.top_k,
        max_detections=config.max_detections,
        cross_class=int(config.nms == "cross-class"),
        type=ELEMENT_TYPES[inputs["confidences"].dtype],
        score_threshold=config.score_threshold,
        nms_threshold=config.nms_threshold,
    )


def run(backend: Backend, inputs: Arrays, config: PostprocessConfig) -> Arrays:
    """The outputs by name. Memory starts as rubbish everywhere."""
    return run_and_tell(backend, inputs, config)[0]


def run_and_tell(backend: Backend, inputs: Arrays, config: PostprocessConfig) -> tuple[Arrays, list[str]]:
    """The outputs, and for each image whether the first pass over the lists ranked everything, ranked less but enough,
    or was followed by a second one: `all`, `best` or `second`."""
    params = params_of(inputs, config)
    rows = (params.batch, params.max_detections)
    outputs = {
        "num_detections": (np.int32, (params.batch, 1)),
        "boxes": (np.float32, (*rows, 4)),
        "scores": (np.float32, rows),
        "classes": (np.int32, rows),
        "detection_coefficients": (inputs["coefficients"].dtype, (*rows, params.coefficients)),
    }
    buffers = {name: backend.put(inputs[name]) for name in INPUTS}
    results = {
        name: backend.put(np.full(np.prod(shape, dtype=int) * np.dtype(dtype).itemsize, 0xCD, np.uint8))
        for name, (dtype, shape) in outputs.items()
    }
    workspace = backend.scratch(backend.library.fast_nms_workspace(params))
    addresses = {name: buffer.address for name, buffer in {**buffers, **results}.items()}
    backend.library.fast_nms(params, FastNmsTensors(**addresses), workspace.address, backend.stream)
    for name, buffer in buffers.items():
        np.testing.assert_array_equal(buffer.read(inputs[name].dtype, inputs[name].shape), inputs[name])
    states = (
        workspace.read(np.uint8, (-1,))[: params.batch * STATE_BYTES]
        .view(np.int32)
        .reshape(params.batch, STATE_BYTES // 4)
    )
    passes = [
        ("best" if survivors >= params.max_detections else "second") if undecided else "all"
        for survivors, undecided in states[:, 1:3].tolist()
    ]
    return {name: results[name].read(*spec) for name, spec in outputs.items()}, passes


def make_inputs(
    batch: int, priors: int, classes: int, seed: int, dtype: DTypeLike = np.float32, coefficients: int = 5
) -> Arrays:
    """Boxes that overlap, scores that spread, about half of the priors candidates."""
    rng = np.random.default_rng(seed)
    shape = (batch, priors)
    confidences = rng.normal(0, 2, (*shape, classes + 1))
    confidences[..., 0] += rng.choice([1.0, 12.0], shape) + np.log(classes)
    return {
        "locations": rng.normal(0, 1, (*shape, 4)).astype(dtype),
        "confidences": confidences.astype(dtype),
        "coefficients": rng.uniform(-1, 1, (*shape, coefficients)).astype(dtype),
        "priors": rng.uniform(0.05, 0.9, (priors, 4)).astype(np.float32),
    }


def oracle(inputs: Arrays, image: int, config: PostprocessConfig) -> tuple[np.ndarray, Survivors]:
    """Boxes of all priors, and what is to be detected."""
    with np.errstate(invalid="ignore", over="ignore"):
        boxes = decode_boxes(inputs["locations"][image].astype(np.float32), inputs["priors"])
        probabilities = class_probabilities(inputs["confidences"][image].astype(np.float32))
        return boxes, suppress(boxes, probabilities, 550, config)


def check(outputs: Arrays, inputs: Arrays, config: PostprocessConfig) -> list[int]:
    """The detections are NumPy's, in its order; returns their counts."""
    for image, count in enumerate(outputs["num_detections"].ravel()):
        boxes, expected = oracle(inputs, image, config)
        assert count == len(expected.scores)
        found = {name: array[image, :count] for name, array in outputs.items() if name != "num_detections"}
        np.testing.assert_allclose(found["scores"], expected.scores, rtol=1e-5, atol=0)
        np.testing.assert_array_equal(found["classes"], expected.class_ids)
        chosen = expected.prior_indices
        np.testing.assert_array_equal(found["detection_coefficients"], inputs["coefficients"][image, chosen])
        np.testing.assert_allclose(found["boxes"], boxes[chosen], rtol=1e-5, atol=1e-6)
        for name, array in outputs.items():
            if name != "num_detections":
                assert not array[image, count:].any(), f"{name} past the count"
    return outputs["num_detections"].ravel().tolist()
