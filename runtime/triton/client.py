"""An engine on a Triton server: images go there, and detections come back."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from yolact.runtime.cuda.device_detections import DeviceDetections
from yolact.runtime.detections import Detections
from yolact.runtime.errors import EngineError, ImageError, UsageError, YolactError
from yolact.runtime.images.arrays import Image
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.packages import PackageMissing
from yolact.runtime.postprocess.postprocess import NetworkDetections
from yolact.runtime.selection import Selection
from yolact.runtime.triton import wire
from yolact.runtime.triton.address import TritonAddress
from yolact.runtime.triton.model_facts import ModelFacts
from yolact.runtime.wording import list_some, one_line

logger = logging.getLogger(__name__)

IN_FLIGHT = 16
"""Requests of one call at once: the server makes batches of them."""

TIMEOUT_S = 120.0
"""Most seconds for an answer, its time in the queue included."""

_WAITS_S = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Seconds before a request is repeated that the server had no place for, which HTTP calls 503."""


class ImageFile(NamedTuple):
    """The contents of an image file, which the server decodes.

    Attributes:
        name: of the file, for errors.
        data: its contents.
    """

    name: str
    data: bytes


class TritonEngine:
    """A model that `yolact-triton` wrote, on a running server. Several threads may use it at once."""

    takes_images = True
    min_batch = 1
    max_batch: int | None = None
    streams = 8

    def __init__(self, address: TritonAddress) -> None:
        """Connect and ask for the model's configuration.

        Raises:
            PackageMissing: the extra `triton` is not installed.
            YolactError: no server answers, or it has no such model.
            EngineError: the model is another one, of another version, or sends masks that cannot be drawn.
        """
        self.device = self._address = address
        self._client = _connect(address)
        self._pool = ThreadPoolExecutor(IN_FLIGHT, "yolact triton")
        try:
            self._facts = self._read_facts()
        except BaseException:
            self.close()
            raise

    @property
    def metadata(self) -> ModelMetadata:
        """The model and its post-processing."""
        return self._facts.metadata

    def find(self, images: Sequence[Image | ImageFile], wanted: Selection | None = None) -> list[Detections]:
        """The wanted detections of each image: (H, W, 3) uint8 BGR, or the contents of a file.

        Each is a request of its own, of which the server makes batches.

        Raises:
            ImageError: the server takes one of them for no image.
            YolactError: the server failed, is gone, or had no place for too long.
        """
        if len(images) == 1:
            return [self._find(images[0], wanted)]
        return list(self._pool.map(lambda image: self._find(image, wanted), images))

    def find_on_device(self, images: Sequence[Image], wanted: Selection | None = None) -> list[DeviceDetections]:
        """Raises UsageError: results come over the wire."""
        raise UsageError("results stay on the GPU with a TensorRT plan that is opened here, and not with a server's")

    def detect(self, images: Image) -> list[NetworkDetections]:
        """Raises UsageError: `find` takes the images themselves."""
        raise UsageError("a model on a server takes images as they are; call the detector with them")

    def close(self) -> None:
        """End the connection. Calling it again does nothing."""
        self._pool.shutdown(cancel_futures=True)
        self._client.close()

    def _read_facts(self) -> ModelFacts:
        from tritonclient.utils import InferenceServerException

        try:
            config = self._client.get_model_config(self._address.model, client_timeout=TIMEOUT_S).config
        except InferenceServerException as error:
            raise self._no_model(error) from error
        parameters = {name: value.string_value for name, value in config.parameters.items()}
        facts = ModelFacts.from_parameters(parameters, str(self._address))
        if facts.masks not in ("rle", "bits"):
            raise EngineError(
                f"{self._address} sends masks as {facts.masks}, and pictures are made from rle or bits; write the "
                "model with yolact-triton --masks rle"
            )
        return facts

    def _no_model(self, error: Exception) -> YolactError:
        """Why the model cannot be asked for its configuration."""
        from tritonclient.utils import InferenceServerException

        try:
            models = self._client.get_model_repository_index(client_timeout=TIMEOUT_S).models
        except InferenceServerException:
            return YolactError(
                f"no Triton server answers at {self._address.server} ({_reason(error)}); start it, or give its host "
                "and its port of gRPC"
            )
        ready = sorted({model.name for model in models if model.state == "READY"})
        failed = [model.reason for model in models if model.name == self._address.model and model.reason]
        has = f"it has {list_some(ready, 10)}" if ready else "it has none"
        why = f" ({one_line(failed[0])})" if failed else ""
        return YolactError(
            f"the Triton server at {self._address.server} has no model {self._address.model} that is ready{why}; {has}"
        )

    def _find(self, image: Image | ImageFile, wanted: Selection | None) -> Detections:
        from tritonclient.utils import InferenceServerException

        inputs, parameters = [_input(image)], wire.to_parameters(wanted)
        for wait in (*_WAITS_S, None):
            try:
                answer = self._client.infer(
                    self._address.model, inputs, client_timeout=TIMEOUT_S, parameters=parameters
                )
                return self._decode(answer)
            except InferenceServerException as error:
                if not self._is_busy(error) or wait is None:
                    raise self._explain(error, image) from error
                time.sleep(wait)
        raise AssertionError

    def _decode(self, answer: Any) -> Detections:
        config, facts = self._facts.metadata.config, self._facts
        names = wire.outputs(facts.masks, mask_rescoring=config.mask_rescoring)
        try:
            arrays = {name: answer.as_numpy(name) for name in names}
            missing = [name for name, array in arrays.items() if array is None]
            if missing:
                raise ValueError(f"there is no {missing[0]}")
            (found,) = wire.decode(arrays, facts.masks, config.class_names)
        except (ValueError, IndexError) as error:
            raise YolactError(f"{self._address} answered as no model of this toolkit does ({error})") from error
        return found

    def _is_busy(self, error: Any) -> bool:
        """Whether the server is there and had no place for a request, or is just loading the model."""
        from tritonclient.utils import InferenceServerException

        if error.status() != "StatusCode.UNAVAILABLE":
            return False
        try:
            return bool(self._client.is_server_live(client_timeout=TIMEOUT_S))
        except InferenceServerException:
            return False

    def _explain(self, error: Any, image: Image | ImageFile) -> YolactError:
        status, reason = error.status(), _reason(error)
        if status == "StatusCode.INVALID_ARGUMENT":
            name = image.name if isinstance(image, ImageFile) else "image"
            return ImageError(f"{name}: {reason.removeprefix('image: ')}")
        if status == "StatusCode.DEADLINE_EXCEEDED":
            return YolactError(f"{self._address} gave no answer in {TIMEOUT_S:g} seconds; give it less at a time")
        if status == "StatusCode.NOT_FOUND":
            return self._no_model(error)
        if "is not healthy" in reason:
            return YolactError(
                f"the process behind {self._address} has ended, and Triton does not start it again by itself; unload "
                "and load the model, or restart the server, whose log says more"
            )
        if status == "StatusCode.UNAVAILABLE":
            return YolactError(f"{self._address} cannot take more for now ({reason}); try again later")
        return YolactError(f"{self._address} failed ({reason}); its log says more")


def _connect(address: TritonAddress) -> Any:
    try:
        from tritonclient.grpc import InferenceServerClient
    except ImportError as error:
        raise PackageMissing("a Triton server", error.name, "triton") from None
    return InferenceServerClient(address.server, ssl=address.encrypted)


def _input(image: Image | ImageFile) -> Any:
    from tritonclient.grpc import InferInput

    if isinstance(image, ImageFile):
        data = np.empty((1, 1), np.object_)
        data[0, 0] = image.data
        tensor = InferInput(wire.IMAGE, [1, 1], "BYTES")
    else:
        data = np.ascontiguousarray(image[None])
        tensor = InferInput(wire.PIXELS, list(data.shape), "UINT8")
    tensor.set_data_from_numpy(data)
    return tensor


def _reason(error: Any) -> str:
    message = error.message() if hasattr(error, "message") else str(error)
    return one_line(message or error)
