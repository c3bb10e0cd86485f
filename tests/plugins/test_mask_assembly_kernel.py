"""The mask assembly kernel against NumPy (`yolact.runtime.postprocess.mask_assembly`)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from element_types import EACH_TYPE
from mask_assembly_calls import check, make_inputs, params_of, run

from yolact.runtime.cuda.kernels import ElementType, MaskAssemblyParams, MaskAssemblyTensors
from yolact.runtime.errors import UsageError, YolactError

if TYPE_CHECKING:
    from kernel_backends import Backend


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


@pytest.mark.parametrize("grid", [(12, 40), (13, 38)])
def test_masks_that_are_aligned_to_their_elements_only(backend: Backend, grid: tuple[int, int]) -> None:
    """Whether four cells can be written at once depends on the address and on the size of a mask."""
    inputs = make_inputs(1, 35, grid, seed=5, dtype=np.float16)
    params = params_of(inputs)
    buffers = {name: backend.put(array) for name, array in inputs.items()}
    size = 35 * grid[0] * grid[1]
    masks = backend.put(np.full(size + 4, -1, np.float32))
    addresses = {name: buffer.address for name, buffer in buffers.items()}
    backend.library.mask_assembly(params, MaskAssemblyTensors(**addresses, masks=masks.address + 4), backend.stream)
    values = masks.read(np.float32, (size + 4,))
    assert values[0] == -1 and (values[-3:] == -1).all()
    np.testing.assert_array_equal(values[1:-3].reshape(1, 35, *grid), run(backend, inputs))


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
