"""Calls of the mask assembly kernel, and what NumPy makes of the same inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from element_types import ELEMENT_TYPES
from numpy.typing import DTypeLike

from yolact.runtime.cuda.kernels import MaskAssemblyParams, MaskAssemblyTensors
from yolact.runtime.postprocess.mask_assembly import assemble_masks

if TYPE_CHECKING:
    from kernel_backends import Backend


Arrays = dict[str, np.ndarray]


def params_of(inputs: Arrays) -> MaskAssemblyParams:
    batch, coefficients, height, width = inputs["prototypes"].shape
    kind = ELEMENT_TYPES[inputs["prototypes"].dtype]
    return MaskAssemblyParams(batch, inputs["boxes"].shape[1], coefficients, height, width, kind)


def run(backend: Backend, inputs: Arrays) -> np.ndarray:
    params = params_of(inputs)
    shape = (params.batch, params.detections, params.height, params.width)
    buffers = {name: backend.put(array) for name, array in inputs.items()}
    masks = backend.put(np.full(int(np.prod(shape)) * 4, 0xCD, np.uint8))
    addresses = {name: buffer.address for name, buffer in buffers.items()}
    backend.library.mask_assembly(params, MaskAssemblyTensors(**addresses, masks=masks.address), backend.stream)
    for name, buffer in buffers.items():
        np.testing.assert_array_equal(buffer.read(inputs[name].dtype, inputs[name].shape), inputs[name])
    return masks.read(np.float32, shape)


def make_inputs(
    batch: int, detections: int, grid: tuple[int, int], seed: int, dtype: DTypeLike = np.float32, coefficients: int = 32
) -> Arrays:
    """Boxes of all sizes, some beyond the image; counts of nothing to everything."""
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.uniform(-0.2, 1.2, (batch, detections, 2, 2)), axis=2)
    return {
        "prototypes": rng.gamma(1, 2, (batch, coefficients, *grid)).astype(dtype),
        "detection_coefficients": rng.uniform(-1, 1, (batch, detections, coefficients)).astype(dtype),
        "boxes": corners.reshape(batch, detections, 4).astype(np.float32),
        "num_detections": np.linspace(detections, 0, batch).round().astype(np.int32)[:, None],
    }


def check(masks: np.ndarray, inputs: Arrays) -> None:
    for image, count in enumerate(inputs["num_detections"].ravel()):
        prototypes, coefficients = (
            inputs[name][image].astype(np.float32) for name in ("prototypes", "detection_coefficients")
        )
        with np.errstate(invalid="ignore", over="ignore"):
            expected = assemble_masks(prototypes, coefficients, inputs["boxes"][image])
        np.testing.assert_array_equal(masks[image, :count] != 0, expected[:count] != 0)
        np.testing.assert_allclose(masks[image, :count], expected[:count], rtol=0, atol=1e-5)
        assert not masks[image, count:].any()
