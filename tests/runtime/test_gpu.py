"""Plans built here run on the GPU of this machine: `make test-gpu`.

Not yet run on a GPU. What these tests expect of the runtime is held up without one by `test_host_cuda.py`; what they
add is that TensorRT, the driver and the GPU do their part.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.cuda.gpu import read_gpu
from yolact.runtime.detections import Detections
from yolact.runtime.detector import Detector
from yolact.runtime.errors import EngineError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.preprocess import Preprocessor

if TYPE_CHECKING:
    from yolact.runtime.tensorrt.engine import TensorRTEngine

pytestmark = pytest.mark.gpu

MAX_BATCH = 4
FLAVOURS = ["tensorrt", "tensorrt_rtx"]
TOLERANCE = {"fp32": 0.02, "fp16": 0.05}
"""Of scores, and of boxes relative to the image; 32 bits include TF32, which TensorRT uses by default."""


@pytest.fixture(scope="session", autouse=True)
def gpu() -> None:
    """Skip everything where there is no GPU that can be used."""
    try:
        read_gpu()
    except EngineError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def build(
    gpu: None, tiny_config: ModelConfig, export_seeded: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Builds plans of the tiny network for this GPU, each once: (flavour, graph, precision) -> path."""
    from yolact.engines.build_options import BuildOptions
    from yolact.engines.builder import build_plan
    from yolact.engines.builder_choice import BuilderMissing, choose_builder
    from yolact.runtime.onnx.exported_model import read_exported_model

    folder, options = tmp_path_factory.mktemp("plans"), BuildOptions(max_batch=MAX_BATCH)

    def build_(flavour: str, graph: str = "full", precision: str = "fp32") -> Path:
        path = folder / f"{flavour}-{graph}-{precision}.plan"
        if not path.exists():
            try:
                tensorrt = choose_builder(options, flavour)
            except BuilderMissing as error:
                pytest.skip(str(error))
            onnx = path.with_suffix(".onnx")
            export_seeded(tiny_config, onnx, PostprocessConfig(max_detections=20), graph=graph, precision=precision)
            build_plan(read_exported_model(onnx), options, tensorrt).save(path)
        return path

    return build_


@pytest.fixture
def batch(tiny_config: ModelConfig, photos: list[np.ndarray]) -> Image:
    return Preprocessor(tiny_config.image_size)(photos)


def assert_close(found: Detections, expected: Detections, tolerance: float) -> None:
    """Nearly all of the expected detections are there. Near-equal scores may change places or drop off the end."""
    size = max(expected.image_size)
    matched = 0
    for box, score, class_id in zip(expected.boxes, expected.scores, expected.class_ids, strict=True):
        near = np.abs(found.boxes - box).max(axis=1) < tolerance * size
        near &= (np.abs(found.scores - score) < tolerance) & (found.class_ids == class_id)
        matched += bool(near.any())
    assert len(expected) > 0 and matched >= 0.8 * len(expected), f"{matched} of {len(expected)}"


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("graph", ["full", "raw"])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_detections_are_those_of_onnx_runtime(
    build: Callable[..., Path],
    tiny_engine: Path,
    photos: list[np.ndarray],
    flavour: str,
    graph: str,
    precision: str,
) -> None:
    with Detector.open(build(flavour, graph, precision)) as detector, Detector.open(tiny_engine) as onnx:
        expected = onnx(photos)
        for _ in range(3):  # plainly, recorded, replayed
            for found, other in zip(detector(photos), expected, strict=True):
                assert_close(found, other, TOLERANCE[precision])
            for photo, other in zip(photos, expected, strict=True):
                assert_close(detector(photo), other, TOLERANCE[precision])


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_gpu_around_the_engine_does_what_the_cpu_does(
    build: Callable[..., Path], photos: list[np.ndarray], flavour: str
) -> None:
    """Weights of single pixels may be neighbouring floats, so a few pixels of a mask may differ."""
    images = [*photos, photos[0][::-2, 5:300:2], np.asfortranarray(photos[1][:77, :201]), np.zeros((8, 9, 3), np.uint8)]
    frames = [np.roll(photos[0], 40 * shift, axis=1) for shift in range(5)]
    with Detector.open(build(flavour)) as detector:
        if not detector.engine.takes_images:
            pytest.skip("the kernels have no code for this GPU -- yolact-build-plugins")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(detector.engine, "takes_images", False)
            expected = detector(images)
            expected_frames = [detector(frame) for frame in frames]
        for _ in range(3):  # plainly, recorded, replayed
            for found in (detector(images), list(detector.stream(images, 3, batch_size=2))):
                assert_nearly_equal(found, expected)
        assert_nearly_equal([detector(frame) for frame in frames], expected_frames)  # recorded whole, replayed
        assert_nearly_equal(list(detector.stream(frames * 2, 2)), expected_frames * 2)
        for one, other in zip(detector(images, top_k=3), expected, strict=True):
            assert_close_or_empty(one, other.select(top_k=3))


def assert_nearly_equal(found: list[Detections], expected: list[Detections]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.mask_bits is not None and len(one) == len(other)
        np.testing.assert_allclose(one.scores, other.scores, rtol=0, atol=1e-3)
        np.testing.assert_allclose(one.boxes, other.boxes, rtol=0, atol=0.05)
        assert (one.masks != other.masks).mean() < 1e-3


def assert_close_or_empty(found: Detections, expected: Detections) -> None:
    if len(expected):
        assert_close(found, expected, 1e-3)
    else:
        assert not len(found)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_results_that_stay_on_the_gpu(build: Callable[..., Path], photos: list[np.ndarray], flavour: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed -- pip install '.[export]'")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch has no CUDA -- install a build that has")
    with Detector.open(build(flavour)) as detector:
        if not detector.engine.takes_images:
            pytest.skip("the kernels have no code for this GPU -- yolact-build-plugins")
        for kept, found in zip(detector.on_device(photos, top_k=5), detector(photos, top_k=5), strict=True):
            boxes = torch.from_dlpack(kept.boxes).cpu().numpy()
            bits = torch.as_tensor(kept.bits, device="cuda").cpu().numpy()
            np.testing.assert_allclose(boxes, found.boxes, rtol=0, atol=0.05)
            expected = np.concatenate([mask.bits.ravel() for mask in found.mask_bits or ()])
            assert bits.shape == expected.shape and (bits != expected).mean() < 1e-3


@pytest.fixture(params=FLAVOURS)
def engine(request: pytest.FixtureRequest, build: Callable[..., Path]) -> Any:
    from yolact.runtime.tensorrt.plan_opening import open_plan

    engine = open_plan(build(request.param))
    yield engine
    engine.close()


def assert_same(found: list[dict[str, np.ndarray]], expected: list[dict[str, np.ndarray]]) -> None:
    """The same plan on the same images: equal up to the order in which a GPU may add."""
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for name, array in other.items():
            np.testing.assert_allclose(one[name], array, rtol=0, atol=1e-3, err_msg=name)


def test_a_replayed_graph_follows_the_images(engine: TensorRTEngine, batch: Image) -> None:
    context = engine.create_context()
    plain = [context.run(batch[:1]), None, None]
    plain[1:] = [engine.create_context().run(batch[i : i + 1]) for i in (1, 2)]
    for _ in range(2):
        for i in (1, 2, 0):
            assert_same(context.run(batch[i : i + 1]), plain[i])
    if not hasattr(context._plan.trt, "CudaGraphStrategy"):  # TensorRT for RTX records graphs by itself
        assert context._held.prepared[1].graph is not None
    context.close()


def test_stages_are_those_of_the_detector(engine: TensorRTEngine, photos: list[np.ndarray]) -> None:
    from yolact.runtime.bench.photos import EncodedImage
    from yolact.runtime.bench.stages import StagedDetector, in_steps

    files = [EncodedImage("photo", cv2.imencode(".png", photo)[1].tobytes()) for photo in photos]
    expected, steps = Detector(engine)(photos), in_steps(engine)
    detector = StagedDetector(steps, "full")
    for _ in range(3):  # plainly, recorded, replayed: the events must come every time
        timed = detector(files)
        for found, other in zip(timed.detections, expected, strict=True):
            assert_close(found, other, 1e-3)
        *stages, whole = timed.milliseconds.values()
        assert len(stages) == 6 and min(stages) > 0 and sum(stages) == pytest.approx(whole)
    steps.close()


def test_threads_at_once(engine: TensorRTEngine, batch: Image) -> None:
    expected = engine.detect(batch)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: engine.detect(batch), range(16)):
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_allclose(one.scores, other.scores, rtol=0, atol=1e-3)
                np.testing.assert_allclose(one.masks, other.masks, rtol=0, atol=1e-3)


def test_tensors_and_stream_of_pytorch(engine: TensorRTEngine, batch: Image) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed -- pip install '.[export]'")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch has no CUDA -- install a build that has")
    context = engine.create_context()
    expected = context.run(batch)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        images = torch.from_numpy(batch).pin_memory().to("cuda", non_blocking=True)
        outputs = {
            name: torch.empty((len(batch), *spec.shape), dtype=getattr(torch, spec.dtype.name), device="cuda")
            for name, spec in context._plan.outputs.items()
        }
        results = context.enqueue(images, outputs, stream)
        scores = outputs["scores"] * 1  # in order on the same stream, without waiting
    stream.synchronize()
    assert all(results[name] is outputs[name] for name in outputs)
    torch.testing.assert_close(scores, outputs["scores"])
    for i, image in enumerate(expected):
        count = int(outputs["num_detections"][i])
        found = {name: outputs[name][i, :count].cpu().numpy() for name in outputs if name != "num_detections"}
        assert_same([found], [{name: array for name, array in image.items() if name != "num_detections"}])
    context.close()
