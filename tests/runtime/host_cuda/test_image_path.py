"""`Detector` on a plan from images to bits, with the kernels on the host driver: all as from the ONNX file."""

from __future__ import annotations

import ctypes
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from host_cuda.host_driver import as_array, configure, count, counted, fail_next, one_copy
from host_cuda.host_tensorrt import TENSORRT, TENSORRT_RTX, HostEngine
from scripted_engine import write_engine

from yolact.runtime.cuda.arrays import DeviceArray
from yolact.runtime.cuda.device import Device
from yolact.runtime.cuda.kernels import LIBRARY, KernelLibrary, installed_kernels
from yolact.runtime.detections import Detections
from yolact.runtime.detector import Detector
from yolact.runtime.errors import ImageError, UsageError, YolactError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.drawing import annotate
from yolact.runtime.images.geometry import Region
from yolact.runtime.onnx.engine import OnnxEngine
from yolact.runtime.tensorrt.engine import TensorRTEngine

Open = Callable[..., tuple[TensorRTEngine, HostEngine]]
ThreadOrder = Callable[[int], None]


@pytest.fixture
def thread_order(kernels_folder: Path) -> Iterator[ThreadOrder]:
    """Sets the order of the kernels' blocks and threads: 0 ascending, 1 descending."""
    order: ThreadOrder = ctypes.CDLL(str(kernels_folder / LIBRARY.name)).host_cuda_schedule
    yield order
    order(0)


def assert_same(found: Detections, expected: Detections, image: Image, bits: bool = True) -> None:
    """Equal to the bit, in all that can be asked of them."""
    for name in ("boxes", "scores", "class_ids", "mask_scores"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    np.testing.assert_array_equal(found.masks, expected.masks)
    assert found.rle() == expected.rle() and found.polygons() == expected.polygons()
    np.testing.assert_array_equal(annotate(image, found), annotate(image, expected))
    assert (found.mask_bits is not None) == bits
    for packed, (region, mask) in zip(found.packed_masks(), found.iter_masks(), strict=True):
        assert packed.region == region and packed.bits.tolist() == np.packbits(mask, axis=1).tolist()
    assert found.names == expected.names and found.image_size == expected.image_size == image.shape[:2]


def odd_images(photos: list[Image]) -> list[Image]:
    """Small ones of all kinds of layouts and shapes."""
    small = [cv2.resize(photo, (97, 61)) for photo in photos]
    wide, padded = np.zeros((40, 130, 3), np.uint8), np.zeros((33, 48, 4), np.uint8)
    padded[..., :3] = cv2.resize(photos[1], (48, 33))
    wide[:, 5:126:] = cv2.resize(photos[2], (121, 40))
    return [
        small[0],
        small[1][::-1, ::-1],
        np.asfortranarray(small[2]),
        padded[..., :3],
        padded[..., 2::-1],
        wide[3:, 7:120],
        small[0][:1, :1],
        small[2].transpose(1, 0, 2),
        cv2.resize(photos[0], (160, 160)),
        cv2.resize(photos[0], (321, 7)),
    ]


@pytest.mark.parametrize(("graph", "trt"), [("full", TENSORRT), ("full", TENSORRT_RTX), ("raw", TENSORRT)])
def test_images_of_any_size_and_layout(
    open_plan: Open,
    kernels: KernelLibrary,
    tiny_engine: Path,
    tiny_raw_engine: Path,
    photos: list[Image],
    graph: str,
    trt: Any,
) -> None:
    path = tiny_engine if graph == "full" else tiny_raw_engine
    plan, _ = open_plan(path, trt=trt, kernels=kernels)
    images = odd_images(photos)[:: 1 if (graph, trt) == ("full", TENSORRT) else 2]
    expected = Detector(OnnxEngine(path))(images)
    assert max(len(one) for one in expected) == 20 and sum(one.masks.any() for one in expected) >= 5
    for found, right, image in zip(Detector(plan)(images), expected, images, strict=True):
        assert_same(found, right, image, bits=graph == "full")


@pytest.mark.parametrize(("least", "most"), [(1, 1), (2, 2), (3, 8)])
def test_batches_of_images_of_different_sizes(
    open_plan: Open, kernels: KernelLibrary, tiny_engine: Path, photos: list[Image], least: int, most: int
) -> None:
    plan, _ = open_plan(tiny_engine, least, most, kernels=kernels)
    images = odd_images(photos)[3:8]
    for found, right, image in zip(
        Detector(plan)(images), Detector(OnnxEngine(tiny_engine))(images), images, strict=True
    ):
        assert_same(found, right, image)


def hundred(rng: np.random.Generator, **other: np.ndarray) -> dict[str, np.ndarray]:
    """Answers of 100 detections, some of which reach beyond the image; masks are cropped to the boxes."""
    corners = rng.uniform(-0.2, 1.2, (400, 2, 2))
    boxes = np.sort(corners, axis=1).reshape(-1, 4).astype(np.float32)
    inside = (boxes[:, :2] < 0.95).all(axis=1) & (boxes[:, 2:] > 0.05).all(axis=1)
    boxes = boxes[inside][:100]
    masks = rng.uniform(0, 1, (100, 16, 16)).astype(np.float32)
    cells = np.arange(16)
    for mask, (left, top, right, bottom) in zip(masks, 16 * boxes, strict=True):
        mask[(cells < top - 1) | (cells >= bottom + 1)] = 0
        mask[:, (cells < left - 1) | (cells >= right + 1)] = 0
    masks[[7, 50]] = 0
    scores = np.sort(rng.uniform(0, 1, 100).astype(np.float32))[::-1]
    return {"boxes": boxes, "scores": scores, "classes": rng.integers(0, 4, 100, np.int32), "masks": masks} | other


@pytest.fixture(scope="module")
def hundred_engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finds 100 instances in every image, nothing in black ones, and ranks them by mask scores."""
    rng = np.random.default_rng(5)
    path = tmp_path_factory.mktemp("hundred") / "hundred.onnx"
    return write_engine(path, rng.uniform(0, 1, 100).astype(np.float32).tolist(), **hundred(rng))


@pytest.fixture(scope="module")
def onnx(hundred_engine: Path) -> Detector:
    """What runs that file on the CPU."""
    return Detector(OnnxEngine(hundred_engine))


def shaded(*sizes: tuple[int, int]) -> list[Image]:
    """Images (height, width) that are not black, but for those of height 8."""
    return [np.full((*size, 3), 200 if size[0] != 8 else 0, np.uint8) for size in sizes]


WANTED: list[dict[str, Any]] = [
    {},
    {"score_threshold": 0.0},
    {"score_threshold": 0.5, "top_k": 15},
    {"top_k": 1},
    {"top_k": 0},
    {"score_threshold": 0.15, "class_ids": [1, 3]},
    {"score_threshold": 1.5},
]


@pytest.mark.parametrize("wanted", WANTED)
def test_what_is_wanted_is_what_select_chooses(
    open_plan: Open,
    kernels: KernelLibrary,
    thread_order: ThreadOrder,
    hundred_engine: Path,
    onnx: Detector,
    wanted: dict[str, Any],
) -> None:
    plan, _ = open_plan(hundred_engine, kernels=kernels)
    images = shaded((61, 97), (8, 30), (35, 16))
    everything = onnx(images)
    assert [len(one) for one in everything] == [100, 0, 100]
    expected = [one.select(**wanted) for one in everything] if wanted else everything
    Detector(plan)(images)  # leaves the places of other masks
    thread_order(1)  # masks that nobody wants would come last now
    for found, told, right, image in zip(
        Detector(plan)(images, **wanted), onnx(images, **wanted), expected, images, strict=True
    ):
        assert_same(found, right, image)
        assert told.rle() == right.rle() and told.scores.tolist() == right.scores.tolist()
        assert found[::-3].rle() == right[::-3].rle()


COSTS = (
    "puts",
    "kernels",
    "launches",
    "synchronisations",
    "copies",
    "uploaded",
    "downloaded",
    "created",
    "allocations",
)


@pytest.mark.parametrize("repeated", [True, False])
@pytest.mark.parametrize("top_k", [100, 15, 0])
def test_what_a_run_costs(open_plan: Open, kernels: KernelLibrary, tmp_path: Path, top_k: int, repeated: bool) -> None:
    """Kernels, waits, copies and their bytes are facts of the code: these are all, once a graph is recorded."""
    answers = hundred(np.random.default_rng(6), masks=np.ones((100, 16, 16), np.float32))
    path = write_engine(tmp_path / "costs.onnx", **answers)
    plan, _ = open_plan(path, kernels=kernels)
    detector, images = Detector(plan), shaded((61, 97), (8, 30), (35, 16))
    for _ in range(3):
        if not repeated:  # of images of other sizes
            detector(images[::-1], top_k=top_k)
        before = [count(name) for name in COSTS]
        found = detector(images, top_k=top_k)
        grown = [count(name) - old for name, old in zip(COSTS, before, strict=True)]
    assert [len(one) for one in found] == [top_k, 0, top_k]
    bits = sum(mask.bits.nbytes for one in found for mask in one.mask_bits or ())
    assert dict(zip(COSTS, grown, strict=True)) == {
        # Calls that put work on the stream: the run, and places of masks, the masks of two images, and bits.
        "puts": (1 if repeated else 1 + 3 + 1) + 4 * (top_k > 0),
        "kernels": 3 + 2 * (top_k > 0),  # each image is stretched, as are the masks of each image that has some
        "launches": 1,  # of a graph: network and copies, and where shapes repeat all that comes before
        "synchronisations": 1 + (top_k > 0),
        "copies": 2 + 2 * (top_k > 0),
        "uploaded": one_copy(*(image.nbytes for image in images)) + 2 * top_k * 24,
        "downloaded": one_copy(3 * 4, 3 * 100 * 16, 3 * 100 * 4, 3 * 100 * 4) + bits,
        "created": 0,
        "allocations": 0,
    }


def test_only_a_larger_batch_allocates(open_plan: Open, kernels: KernelLibrary, hundred_engine: Path) -> None:
    plan, _ = open_plan(hundred_engine, kernels=kernels)
    detector, grown = Detector(plan), []
    for sizes in [(90, 120)], [(30, 40)], [(30, 40), (90, 100)], [(200, 300)], [(90, 120)], [(8, 9)], [(200, 300)]:
        with counted("allocations") as allocations:
            detector(shaded(sizes[0], *sizes[1:]), top_k=5)
        grown += allocations
    assert grown[0] > 4 and grown[1:] == [0, 2, 4, 0, 0, 0]  # bits, then images too, on the GPU and on the host


@pytest.mark.parametrize("interleave", [0, 1])
def test_threads_at_once(
    open_plan: Open, kernels: KernelLibrary, hundred_engine: Path, onnx: Detector, interleave: int
) -> None:
    configure("interleave", interleave)
    plan, host = open_plan(hundred_engine, kernels=kernels)
    detector = Detector(plan)
    work = [shaded((30, 41)), shaded((8, 9), (50, 20)), shaded((64, 64), (17, 90), (8, 8))]
    expected = [onnx(images, top_k=20) for images in work]
    if not interleave:  # three runs are held at the same place
        host.before_run = threading.Barrier(3, timeout=20).wait
    with ThreadPoolExecutor(3) as pool:
        for _ in range(3):
            results = pool.map(lambda images: detector(images, top_k=20), work)
            for found, right, images in zip(results, expected, work, strict=True):
                for one, other, image in zip(found, right, images, strict=True):
                    assert_same(one, other, image)


FAILING = [
    "cuMemAlloc",
    "cuMemHostAlloc",
    "cuMemcpyHtoDAsync",
    "cuMemcpyDtoHAsync",
    "cuStreamSynchronize",
    "host_cuda_launch",
]


@pytest.mark.parametrize("later", [0, 1])
@pytest.mark.parametrize("function", FAILING)
def test_a_run_that_fails_leaves_nothing_behind(
    open_plan: Open, kernels: KernelLibrary, hundred_engine: Path, onnx: Detector, function: str, later: int
) -> None:
    plan, _ = open_plan(hundred_engine, kernels=kernels)
    detector = Detector(plan)
    small, large = shaded((8, 9), (31, 33)), shaded((70, 90))
    if later:  # what the first run alone has to do is done, and its graph is recorded
        detector(small, top_k=4), detector(small, top_k=4)
    fail_next(function, 400)
    with pytest.raises(YolactError, match=r"CUDA_ERROR_INVALID_HANDLE|CUDA error 400"):
        detector(large, top_k=4)
    for images in (small, large, small, large):
        for found, right, image in zip(detector(images, top_k=4), onnx(images, top_k=4), images, strict=True):
            assert_same(found, right, image)


def test_masks_that_are_no_numbers(
    open_plan: Open, kernels: KernelLibrary, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    answers = hundred(np.random.default_rng(7))
    answers["masks"][[3, 20]] = np.nan
    answers["scores"][4] = np.nan
    answers["classes"][5] = 4
    path = write_engine(tmp_path / "nan.onnx", **answers)
    plan, _ = open_plan(path, kernels=kernels)
    images = shaded((40, 50), (8, 9), (60, 30))
    for wanted in ({}, {"top_k": 10}):
        expected = Detector(OnnxEngine(path))(images, **wanted)
        caplog.clear()
        for found, right, image in zip(Detector(plan)(images, **wanted), expected, images, strict=True):
            assert_same(found, right, image, bits=not len(right))
    assert len(expected[0]) == 10
    assert not caplog.records or "'masks'" in caplog.text or "'scores'" in caplog.text


def test_what_is_too_large_for_the_gpu_goes_through_the_cpu(
    open_plan: Open, kernels: KernelLibrary, hundred_engine: Path, onnx: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, _ = open_plan(hundred_engine, kernels=kernels)
    images = [*shaded((50, 60), (8, 9)), np.full((1, (1 << 18) + 1, 3), 90, np.uint8), *shaded((20, 20))]
    expected = onnx(images, top_k=3)
    for most_image, most_bits, kinds in ((1 << 30, 1 << 30, "bbpb"), (100, 1 << 30, "bbpb"), (1 << 30, 400, "pbpb")):
        monkeypatch.setattr("yolact.runtime.tensorrt.image_upload._MOST_BYTES", most_image)
        monkeypatch.setattr("yolact.runtime.tensorrt.mask_choice._MOST_BYTES", most_bits)
        with counted("uploaded") as uploaded:
            results = Detector(plan)(images, top_k=3)
        assert (uploaded[0] > images[2].nbytes) == (most_image > 100)
        for found, right, kind in zip(results, expected, kinds, strict=True):
            np.testing.assert_array_equal(found.boxes, right.boxes)
            assert found.rle() == right.rle() and (found.mask_bits is not None) == (kind == "b")


def on_host(array: DeviceArray) -> np.ndarray:
    interface = array.__cuda_array_interface__
    assert interface["strides"] is interface["stream"] is None and not interface["data"][1]
    assert interface["data"][0] % 4 == 0 and (interface["data"][0] == 0) == (array.nbytes == 0)
    return as_array(array.address, interface["shape"], np.dtype(interface["typestr"]))


@pytest.mark.parametrize("rescored", [True, False])
def test_results_may_stay_on_the_gpu(
    open_plan: Open, kernels: KernelLibrary, hundred_engine: Path, engine: Path, rescored: bool
) -> None:
    path = hundred_engine if rescored else engine
    plan, _ = open_plan(path, 2, 2, kernels=kernels)
    detector, images = Detector(plan), shaded((61, 97), (35, 16), (8, 30))
    with counted("downloaded") as downloaded:
        kept = detector.on_device(images, score_threshold=0.2, top_k=9)
    most = plan.metadata.postprocess.max_detections
    outputs = one_copy(2 * 4, 2 * most * 16, *[2 * most * 4] * (3 if rescored else 2))
    assert downloaded == [2 * outputs]  # of two batches of two; no bits
    detector.on_device(shaded((200, 100), (64, 64)))  # into other memory
    for found, right in zip(kept, Detector(OnnxEngine(path))(images, score_threshold=0.2, top_k=9), strict=True):
        assert len(found) == len(right) and found.image_size == right.image_size
        for name in ("boxes", "scores", "class_ids", *(["mask_scores"] if rescored else [])):
            np.testing.assert_array_equal(on_host(getattr(found, name)), getattr(right, name))
        assert rescored or found.mask_scores is None
        bits, masks = on_host(found.bits), np.zeros((len(found), *found.image_size), np.bool_)
        for mask, region, offset in zip(masks, on_host(found.regions).tolist(), on_host(found.offsets), strict=True):
            height, width = Region(*region).shape
            rows = bits[offset:][: height * ((width + 7) // 8)].reshape(height, -1)
            mask[Region(*region).slices] = np.unpackbits(rows, axis=1)[:, :width]
        np.testing.assert_array_equal(masks, right.masks)
    assert detector.on_device([]) == []


def test_where_results_cannot_stay_on_the_gpu(
    open_plan: Open, kernels: KernelLibrary, engine: Path, tiny_raw_engine: Path
) -> None:
    sentence = "results stay on the GPU with a plan of a full graph and the project's kernels"
    for plan, _ in (open_plan(engine), open_plan(tiny_raw_engine, kernels=kernels)):
        with pytest.raises(UsageError, match=sentence):
            Detector(plan).on_device(shaded((9, 9)))
    with pytest.raises(UsageError, match="results stay on the GPU with a TensorRT plan, and this engine runs on cpu"):
        Detector(OnnxEngine(engine)).on_device(shaded((9, 9)))


@pytest.mark.parametrize("bad", [None, np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 3))])
def test_what_is_no_image_is_refused_before_anything_is_copied(
    open_plan: Open, kernels: KernelLibrary, hundred_engine: Path, bad: Any
) -> None:
    plan, _ = open_plan(hundred_engine, kernels=kernels)
    with counted("copies") as copies, pytest.raises(ImageError, match="expected an image"):
        Detector(plan)([*shaded((9, 9)), bad])
    assert copies == [0]


def test_kernels_are_used_where_they_are_installed(
    device: Device, kernels_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / LIBRARY.name
    monkeypatch.setattr("yolact.runtime.cuda.kernels.LIBRARY", library)
    assert installed_kernels(device) is None
    library.symlink_to(kernels_folder / LIBRARY.name)
    assert installed_kernels(device) is not None
    for archs, fits in ((["sm_86"], True), (["sm_80"], True), (["sm_90"], False)):  # the host driver's is an sm_86
        (tmp_path / "library.json").write_text(json.dumps({"archs": archs, "ptx": None}))
        assert (installed_kernels(device) is not None) == fits
    (tmp_path / "library.json").unlink()
    damaged = tmp_path / "damaged.so"
    damaged.write_bytes(b"no library")
    monkeypatch.setattr("yolact.runtime.cuda.kernels.LIBRARY", damaged)
    with pytest.raises(YolactError, match="cannot load the CUDA kernels"):
        installed_kernels(device)
