"""The mask assembly kernel against NumPy (`yolact.runtime.mask_assembly`)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from element_types import EACH_TYPE, ELEMENT_TYPES
from numpy.typing import DTypeLike

from yolact.runtime.cuda_kernels import ElementType, MaskAssemblyParams, MaskAssemblyTensors
from yolact.runtime.errors import UsageError, YolactError
from yolact.runtime.mask_assembly import assemble_masks

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


@EACH_TYPE
@pytest.mark.parametrize(
    ("batch", "detections", "grid", "coefficients"),
    [(1, 100, (138, 138), 32), (3, 33, (40, 40), 32), (8, 5, (17, 23), 7), (2, 1, (1, 1), 1), (2, 70, (9, 50), 256)],
)
def test_assembles_what_numpy_does(
    backend: Backend, batch: int, detections: int, grid: tuple[int, int], coefficients: int, dtype: np.dtype
) -> None:
    inputs = make_inputs(batch, detections, grid, seed=detections, dtype=dtype, coefficients=coefficients)
    inputs["boxes"][0, 0] = [0, 0, 1, 1]
    masks = run(backend, inputs)
    check(masks, inputs)
    assert masks[0].any()


def test_boxes_on_cell_borders_and_beyond(backend: Backend) -> None:
    """Limits are exact in float32: a cell on the lower one is in, on the upper one out."""
    inputs = make_inputs(1, 8, (16, 32), seed=1)
    cells = [[2, 2, 5, 5], [0, 0, 16, 16], [-40, -9, -3, -1], [20, 20, 30, 40], [-9, 3, 99, 4], [4, 4, 4, 4]]
    inputs["boxes"][0, :6] = np.array(cells) / 16
    inputs["boxes"][0, 6] = [1e30, 1e30, 3e38, 3e38]
    inputs["boxes"][0, 7] = [-3e38, -3e38, 3e38, 3e38]
    inputs["num_detections"][:] = 8
    masks = run(backend, inputs)
    check(masks, inputs)
    assert masks[0].any(axis=(1, 2)).tolist() == [True, True, False, False, True, True, False, True]
    assert np.flatnonzero(masks[0, 0].any(axis=1)).tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["prototypes", "detection_coefficients", "boxes"])
def test_values_that_are_no_numbers(backend: Backend, name: str, value: float) -> None:
    """A box that is none has no mask; elsewhere they stay inside the boxes of the detections they belong to."""
    inputs = make_inputs(2, 10, (20, 20), seed=2)
    clean = run(backend, inputs)
    inputs[name][0, 3] = value
    masks = run(backend, inputs)
    np.testing.assert_array_equal(masks[1], clean[1])
    if name == "boxes":
        assert not masks[0, 3].any()
    if name == "prototypes":
        np.testing.assert_array_equal(masks[0] != 0, (clean[0] != 0) & (masks[0] != 0))
    else:
        others = np.arange(10) != 3
        np.testing.assert_array_equal(masks[0, others], clean[0, others])
        np.testing.assert_array_equal(masks[0, 3][clean[0, 3] == 0], 0)


@pytest.mark.parametrize("count", [-5, 0, 11, 2**31 - 1])
def test_counts_out_of_range_are_clamped(backend: Backend, count: int) -> None:
    inputs = make_inputs(1, 10, (20, 20), seed=3)
    inputs["num_detections"][:] = count
    masks = run(backend, inputs)
    inputs["num_detections"][:] = min(max(count, 0), 10)
    check(masks, inputs)


def test_no_image(backend: Backend) -> None:
    assert run(backend, make_inputs(0, 10, (20, 20), seed=0)).size == 0


def test_the_order_of_threads_changes_nothing(backend: Backend) -> None:
    inputs = make_inputs(2, 40, (30, 30), seed=4)
    first = run(backend, inputs)
    for seed in (1, 2):
        backend.schedule(seed)
        again = run(backend, inputs)
        backend.schedule(0)
        np.testing.assert_array_equal(again, first)


REJECTED = {
    "batch": -1,
    "detections": (0, 65536),
    "coefficients": (0, 257),
    "height": 0,
    "width": (0, -7),
    "type": 3,
    "crop_padding": (-1.0, np.nan, np.inf),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in REJECTED.items() for value in np.atleast_1d(values).tolist()]
)
def test_rejects(backend: Backend, name: str, value: float) -> None:
    good = params_of(make_inputs(1, 10, (20, 20), seed=0))
    with pytest.raises(UsageError, match=f"{name} must be .*, got"):
        backend.library.mask_assembly(replace(good, **{name: value}), MaskAssemblyTensors(0, 0, 0, 0, 0))


def test_rejects_more_cells_than_an_index_holds(backend: Backend) -> None:
    params = MaskAssemblyParams(1, 1000, 1, 10000, 10000, ElementType.FLOAT32)
    with pytest.raises(UsageError, match=r"must be at most 2\^30, got 10000 \* 10000, 1, 1000"):
        backend.library.mask_assembly(params, MaskAssemblyTensors(0, 0, 0, 0, 0))


def test_rejects_boxes_that_are_not_aligned(backend: Backend) -> None:
    params = params_of(make_inputs(1, 10, (20, 20), seed=0))
    with pytest.raises(YolactError, match=r"\b716\b|[Mm]isaligned"):
        backend.library.mask_assembly(params, MaskAssemblyTensors(4096, 4096, 4096 + 8, 4096, 4096), backend.stream)
