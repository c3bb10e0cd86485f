"""KServe's V2 protocol as `tritonclient.http` speaks it: what any server of the model must do, whoever it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import pytest

from yolact.runtime.detections import Detections

MODEL = "yolact"

OUTPUTS = {
    "num_detections": ("INT32", [-1, 1]),
    "image_sizes": ("INT32", [-1, 2]),
    "boxes": ("FP32", [-1, -1, 4]),
    "scores": ("FP32", [-1, -1]),
    "classes": ("INT32", [-1, -1]),
    "masks": ("BYTES", [-1, -1]),
}
"""Datatype and shape in the model's metadata; a model of YOLACT++ has `mask_scores`, as `scores`, besides."""


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """A client of `host:port`; the test is skipped where there is no `tritonclient`."""
    http = pytest.importorskip("tritonclient.http", reason="tritonclient is not installed -- pip install '.[dev]'")
    client = http.InferenceServerClient(address)
    try:
        yield client
    finally:
        client.close()


def infer(
    client: Any, files: Sequence[bytes], names: Sequence[str] = (), *, name: str = "image", binary: bool = True
) -> dict[str, Any]:
    """The outputs for images, as arrays; `names` asks for these alone, `binary` for their form."""
    import tritonclient.http as http

    data = np.empty((len(files), 1), np.object_)
    data[:, 0] = files
    tensor = http.InferInput(name, list(data.shape), "BYTES")
    tensor.set_data_from_numpy(data, binary_data=True)
    wanted = [http.InferRequestedOutput(one, binary_data=binary) for one in names]
    result = client.infer(MODEL, [tensor], outputs=wanted or None, request_id="photo-1")
    answer = result.get_response()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == (MODEL, "1", "photo-1")
    return {output["name"]: result.as_numpy(output["name"]) for output in answer["outputs"]}


def refused(client: Any, files: Sequence[bytes], **options: Any) -> tuple[str, str]:
    """HTTP status and sentence of a request that must fail."""
    from tritonclient.utils import InferenceServerException

    with pytest.raises(InferenceServerException) as caught:
        infer(client, files, **options)
    return str(caught.value.status()), str(caught.value.message())


def check_answer(answer: dict[str, Any], expected: Sequence[Detections]) -> None:
    """Demands of each image what the detector finds in it, and nothing but zeros beyond."""
    assert answer["num_detections"].tolist() == [[len(found)] for found in expected]
    assert answer["image_sizes"].tolist() == [list(found.image_size) for found in expected]
    most = max(map(len, expected))
    for index, found in enumerate(expected):
        count = len(found)
        assert answer["boxes"].shape == (len(expected), most, 4)
        np.testing.assert_allclose(answer["boxes"][index, :count], found.boxes, atol=2e-3)
        np.testing.assert_allclose(answer["scores"][index, :count], found.scores, atol=2e-5)
        assert answer["classes"][index, :count].tolist() == found.class_ids.tolist()
        masks = [one if isinstance(one, str) else one.decode() for one in answer["masks"][index]]  # text in JSON
        assert masks == [rle["counts"] for rle in found.rle()] + (most - count) * [""]
        if found.mask_scores is not None:
            np.testing.assert_allclose(answer["mask_scores"][index, :count], found.mask_scores, atol=2e-5)
        for name in ("boxes", "scores", "classes"):
            assert not answer[name][index, count:].any()


def check_server(address: str, detect: Callable[[np.ndarray], Detections], images: Sequence[np.ndarray]) -> None:
    """Demands what clients rely on: states, metadata, what is detected here, alone and in a batch, and refusals."""
    files = [cv2.imencode(".png", image)[1].tobytes() for image in images]
    expected = [detect(image) for image in images]
    with connected(address) as client:
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(MODEL)
        assert client.is_model_ready(MODEL, "1") and not client.is_model_ready("other")
        metadata = client.get_model_metadata(MODEL)
        inputs = {one["name"]: (one["datatype"], one["shape"]) for one in metadata["inputs"]}
        outputs = {one["name"]: (one["datatype"], one["shape"]) for one in metadata["outputs"]}
        assert (metadata["name"], inputs["image"]) == (MODEL, ("BYTES", [-1, 1]))
        assert outputs == OUTPUTS | ({} if expected[0].mask_scores is None else {"mask_scores": OUTPUTS["scores"]})
        assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
        for file, found in zip(files, expected, strict=True):
            check_answer(infer(client, [file]), [found])
        check_answer(infer(client, files), expected)
        assert list(infer(client, files, ["scores", "masks"], binary=False)) == ["scores", "masks"]
        status, said = refused(client, [files[0], cv2.imencode(".jpg", images[1])[1].tobytes()[:-99], files[0]])
        assert status == "400" and "image 2 of 3: " in said and "truncated" in said
        assert refused(client, files, name="photo")[0] == refused(client, files, names=["colours"])[0] == "400"
        check_answer(infer(client, files), expected)
