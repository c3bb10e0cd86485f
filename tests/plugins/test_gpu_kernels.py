"""The CUDA kernels on the GPU of this machine, beyond what they compute: `make test-gpu`.

Not yet run on a GPU. What they compute is tested by `test_fast_nms_kernel.py` and its neighbours, there too; here they
are recorded in CUDA graphs, watched by compute-sanitizer, and called again after the GPU was closed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from element_types import ELEMENT_TYPES
from fast_nms_calls import make_inputs, params_of
from kernel_backends import MARGIN_VARIABLE, GpuBackend
from numpy.typing import DTypeLike
from repository import ROOT

from yolact.runtime.config import PostprocessConfig
from yolact.runtime.cuda.device import Graph
from yolact.runtime.cuda.kernels import (
    LIBRARY,
    DeviceImage,
    FastNmsTensors,
    MaskAssemblyParams,
    MaskAssemblyTensors,
    MasksToImageParams,
    MasksToImageTensors,
)
from yolact.runtime.errors import YolactError

pytestmark = pytest.mark.gpu

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def backend() -> GpuBackend:
    try:
        return GpuBackend()
    except YolactError as error:
        pytest.skip(str(error))


class Work:
    """Launches on memory that stays where it is.

    Attributes:
        make: seed to inputs, always of the same shapes.
        enqueue: puts the launches on the backend's stream.
    """

    def __init__(
        self,
        backend: GpuBackend,
        make: Callable[[int], Arrays],
        outputs: dict[str, tuple[DTypeLike, tuple[int, ...]]],
        launch: Callable[[dict[str, int]], None],
    ) -> None:
        self.make, self._outputs = make, outputs
        self._rubbish = {
            name: np.full(int(np.prod(shape)) * np.dtype(dtype).itemsize, 0xA5, np.uint8)
            for name, (dtype, shape) in outputs.items()
        }
        self._buffers = {name: backend.put(array) for name, array in {**make(0), **self._rubbish}.items()}
        addresses = {name: buffer.address for name, buffer in self._buffers.items()}
        self.enqueue = lambda: launch(addresses)

    def begin(self, inputs: Arrays) -> None:
        """Put inputs in and rubbish where the outputs go."""
        for name, array in {**inputs, **self._rubbish}.items():
            self._buffers[name].fill(array)

    def results(self) -> Arrays:
        return {name: self._buffers[name].read(*spec) for name, spec in self._outputs.items()}


def plugins(backend: GpuBackend, dtype: np.dtype) -> Work:
    """Fast NMS and then mask assembly, as a network runs them."""
    config, batch, grid = PostprocessConfig(max_detections=60), 3, (40, 44)

    def make(seed: int) -> Arrays:
        arrays = make_inputs(batch, 1500, 20, seed, dtype, coefficients=16)
        arrays["confidences"][seed % batch, :, 0] = 60  # one image without detections
        prototypes = np.random.default_rng(seed).gamma(1, 1, (batch, 16, *grid))
        return {**arrays, "prototypes": prototypes.astype(dtype)}

    params = params_of(make(0), config)
    assembly = MaskAssemblyParams(batch, 60, 16, *grid, ELEMENT_TYPES[np.dtype(dtype)])
    workspace = backend.scratch(backend.library.fast_nms_workspace(params))
    rows = (batch, 60)
    outputs = {
        "num_detections": (np.int32, (batch, 1)),
        "boxes": (np.float32, (*rows, 4)),
        "scores": (np.float32, rows),
        "classes": (np.int32, rows),
        "detection_coefficients": (dtype, (*rows, 16)),
        "masks": (np.float32, (*rows, *grid)),
    }

    def launch(at: dict[str, int]) -> None:
        nms = FastNmsTensors(**{name: address for name, address in at.items() if name not in ("prototypes", "masks")})
        backend.library.fast_nms(params, nms, workspace.address, backend.stream)
        names = ("prototypes", "detection_coefficients", "boxes", "num_detections", "masks")
        masks = MaskAssemblyTensors(**{name: at[name] for name in names})
        backend.library.mask_assembly(assembly, masks, backend.stream)

    return Work(backend, make, outputs, launch)


def resize_pack(backend: GpuBackend) -> Work:
    def make(seed: int) -> Arrays:
        return {"image": np.random.default_rng(seed).integers(0, 256, (97, 131, 3), np.uint8)}

    def launch(at: dict[str, int]) -> None:
        image = DeviceImage(at["image"], 97, 131, 3 * 131)
        backend.library.resize_pack(image, 138, at["resized"], backend.stream)

    return Work(backend, make, {"resized": (np.uint8, (138, 138, 3))}, launch)


def masks_to_image(backend: GpuBackend) -> Work:
    regions = np.array([[0, 0, 90, 130], [10, 7, 60, 100], [5, 5, 5, 5]], np.int32)
    sizes = [(bottom - top) * ((right - left + 7) // 8) for top, left, bottom, right in regions]
    params = MasksToImageParams(3, 35, 41, 90, 130, sum(sizes))

    def make(seed: int) -> Arrays:
        masks = np.random.default_rng(seed).uniform(0, 1, (3, 35, 41)).astype(np.float32)
        offsets = np.cumsum([0, *sizes[:-1]]).astype(np.int64)
        return {"masks": masks, "regions": regions, "offsets": offsets}

    def launch(at: dict[str, int]) -> None:
        backend.library.masks_to_image(params, MasksToImageTensors(**at), backend.stream)

    return Work(backend, make, {"bits": (np.uint8, (sum(sizes),))}, launch)


WORKS: dict[str, Callable[[GpuBackend], Work]] = {
    **{f"plugins-{dtype}": lambda backend, dtype=dtype: plugins(backend, dtype) for dtype in ELEMENT_TYPES},
    "resize_pack": resize_pack,
    "masks_to_image": masks_to_image,
}


@pytest.mark.parametrize("name", WORKS)
def test_a_recorded_graph_follows_its_inputs(backend: GpuBackend, name: str) -> None:
    """Bit for bit what direct launches give, whatever the inputs were when it was recorded."""
    work = WORKS[name](backend)
    inputs = [work.make(seed) for seed in (1, 2, 3)]
    expected = []
    for arrays in inputs:
        work.begin(arrays)
        work.enqueue()
        expected.append(work.results())
    for output in expected[0]:
        assert not np.array_equal(expected[0][output], expected[1][output]), f"{output} is the same for all inputs"
    graph = Graph(backend.device, backend.cuda_stream, work.enqueue)
    for index in (0, 2, 1, 1):
        work.begin(inputs[index])
        for _ in range(2):  # the second finds the scratch memory as the first leaves it
            graph.launch(backend.cuda_stream)
        for output, array in work.results().items():
            np.testing.assert_array_equal(array, expected[index][output], output)
    graph.close()


REOPEN = """
import sys
from pathlib import Path
import numpy as np
from yolact.runtime.cuda.device import Device, DeviceMemory, PinnedMemory, Stream
from yolact.runtime.cuda.kernels import DeviceImage, KernelLibrary

for _ in range(2):
    device = Device.open()
    stream, memory = Stream.create(device), DeviceMemory(device, 24)
    pixels, result = PinnedMemory(device, 24).as_array((2, 12), np.uint8)
    pixels[:], result[:] = range(12), 0
    with device.current():
        stream.upload(memory.address, pixels)
        image = DeviceImage(memory.address, 2, 2, 6)
        KernelLibrary(Path(sys.argv[1])).resize_pack(image, 2, memory.address + 12, stream.handle)
        stream.download(result, memory.address + 12)
        stream.synchronise()
    assert (result == pixels).all(), result
    device.close()
"""


def test_the_kernels_outlive_the_context(backend: GpuBackend) -> None:
    """A process that closes the GPU and opens it again has another context; the kernels are loaded into that, too."""
    done = subprocess.run([sys.executable, "-c", REOPEN, str(LIBRARY)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


WATCHED = (
    "test_fast_nms_kernel.py::test_unusual_sizes",
    "test_fast_nms_kernel.py::test_all_scores_equal",
    "test_fast_nms_kernel.py::test_the_order_of_threads_changes_nothing",
    "test_fast_nms_kernel.py::test_images_without_candidates_beside_others",
    "test_mask_assembly_kernel.py::test_assembles_what_numpy_does",
    "test_mask_assembly_kernel.py::test_boxes_on_cell_borders_and_beyond",
    "test_resize_pack.py::test_layouts",
    "test_masks_to_image.py::test_regions_of_the_masks",
)
"""Odd sizes and alignments, several rounds of the top-k, blocks with nothing to do."""

FEW_WATCHED = (
    "test_fast_nms_kernel.py::test_images_without_candidates_beside_others",
    "test_mask_assembly_kernel.py::test_boxes_on_cell_borders_and_beyond",
    "test_resize_pack.py::test_grey",
)
"""Small ones for each kernel with shared memory, which tell within seconds whether there is a race to look for."""


@pytest.mark.parametrize(
    ("tool", "watched"),
    [("racecheck", FEW_WATCHED), ("memcheck", WATCHED), ("racecheck", WATCHED)],
    ids=["racecheck-few", "memcheck-all", "racecheck-all"],
)
def test_compute_sanitizer_finds_nothing(backend: GpuBackend, tool: str, watched: tuple[str, ...]) -> None:
    """memcheck: accesses beyond arrays, which have no margins then; racecheck: unordered ones to shared memory."""
    folders = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/cuda/bin"])
    sanitizer = shutil.which("compute-sanitizer", path=folders)
    if sanitizer is None:
        pytest.skip("compute-sanitizer is not installed -- install the CUDA toolkit, which has it")
    command = [sanitizer, "--tool", tool, "--error-exitcode", "86", "--print-limit", "20"]
    command += [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "gpu"]
    command += [str(ROOT / "tests" / "plugins" / test) for test in watched]
    environment = {**os.environ, MARGIN_VARIABLE: "0"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    output = done.stdout + done.stderr
    if "Device not supported" in output:
        pytest.skip("compute-sanitizer cannot watch this GPU -- run the tests on a newer one")
    assert done.returncode == 0, output[-8000:]
    assert re.search(r"\b\d+ passed", output) and "skipped" not in output, output[-3000:]
    assert re.search(r"SUMMARY: 0 (errors|hazards)", output), output[-3000:]
