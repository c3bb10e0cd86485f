"""Exported files in runtimes of other people, beside ONNX Runtime on the same photos.

What each takes is in docs/how-to/which-runtime.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import missing
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.errors import UsageError
from yolact.runtime.openvino.library import core

Outputs = Mapping[str, NDArray[Any]]
Runtime = Callable[[Path, NDArray[np.uint8]], Outputs]

FORMS: dict[str, dict[str, Any]] = {
    "keep": {},
    "inline": {"inline_functions": True},
    "raw": {"graph": "raw"},
}

OPENCV_5 = int(cv2.__version__.split(".")[0]) >= 5


@pytest.fixture(scope="module")
def files(
    tiny_config: ModelConfig, export_seeded: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A network for one image in each form."""
    folder = tmp_path_factory.mktemp("forms")
    few = PostprocessConfig(max_detections=20)
    return {
        form: export_seeded(tiny_config, folder / f"{form}.onnx", few, batch=1, **options)
        for form, options in FORMS.items()
    }


@pytest.fixture(scope="module")
def image(tiny_config: ModelConfig, photos: list[Any]) -> NDArray[np.uint8]:
    """(1, S, S, 3) BGR."""
    return cv2.resize(photos[1], (tiny_config.image_size, tiny_config.image_size))[None]  # type: ignore[return-value]


def names_of(file: Path) -> list[str]:
    """The outputs of a file in their order."""
    return [output.name for output in onnxruntime.InferenceSession(file).get_outputs()]


def by_onnx_runtime(file: Path, image: NDArray[np.uint8]) -> Outputs:
    session = onnxruntime.InferenceSession(file)
    return dict(zip(names_of(file), session.run(None, {session.get_inputs()[0].name: image}), strict=True))


def by_opencv(file: Path, image: NDArray[np.uint8]) -> Outputs:
    net = cv2.dnn.readNetFromONNX(str(file))
    net.setInput(image)
    names = net.getUnconnectedOutLayersNames()
    return dict(zip(names, net.forward(names), strict=True))


def by_tract(file: Path, image: NDArray[np.uint8]) -> Outputs:
    tract = pytest.importorskip("tract", reason="tract is not installed -- pip install tract")
    runnable = tract.onnx().load(str(file)).into_model().into_runnable()
    return dict(zip(names_of(file), (output.to_numpy() for output in runnable.run([image])), strict=True))


def by_openvino(file: Path, image: NDArray[np.uint8]) -> Outputs:
    """As other programs use it, but with the `Core` of our engines: see there why no process may have two."""
    try:
        found = core()
    except UsageError:
        pytest.skip(missing.OPENVINO)
    model = found.compile_model(str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    outputs = model([image])
    return {name: outputs[name] for name in names_of(file)}


TAKEN = [
    pytest.param(by_opencv, "raw", id="opencv-raw"),
    pytest.param(
        by_opencv,
        "inline",
        id="opencv-inline",
        marks=pytest.mark.skipif(
            not OPENCV_5, reason="OpenCV 5 is not installed -- pip install 'opencv-python-headless>=5'"
        ),
    ),
    *(
        pytest.param(runtime, form, id=f"{runtime.__name__[3:]}-{form}")
        for runtime in (by_tract, by_openvino)
        for form in ("inline", "raw")
    ),
]


@pytest.mark.parametrize(("runtime", "form"), TAKEN)
def test_what_others_compute(runtime: Runtime, form: str, files: dict[str, Path], image: NDArray[np.uint8]) -> None:
    expected = by_onnx_runtime(files[form], image)
    found = runtime(files[form], image)
    assert set(found) == set(expected)
    if form == "inline":
        assert expected["num_detections"].item() > 3, "the comparison must be about detections"
    for name, tensor in expected.items():
        np.testing.assert_allclose(found[name], tensor, rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("runtime", [by_opencv, by_tract, by_openvino])
def test_who_knows_no_functions(runtime: Runtime, files: dict[str, Path], image: NDArray[np.uint8]) -> None:
    """They refuse the form that ONNX Runtime takes, rather than compute something else."""
    with pytest.raises(Exception, match=r"Yolact(FastNms|MaskAssembly)|empty"):
        runtime(files["keep"], image)
