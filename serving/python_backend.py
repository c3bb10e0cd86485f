"""The model that Triton's python backend runs: our own runtime, or our own code around another model of Triton.

Triton loads `model.py` from the repository in a separate process, and that file imports `TritonPythonModel` from here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils  # there is one in the process that Triton starts, and nowhere else

from yolact.runtime.cpu_cores import usable_cores
from yolact.runtime.detector import Detector
from yolact.runtime.errors import EngineError, ImageError, UsageError, YolactError
from yolact.runtime.file_digest import sha256_of
from yolact.runtime.images.check_image import make_check_image
from yolact.runtime.json_text import from_json
from yolact.runtime.triton import wire
from yolact.runtime.triton.model_facts import ModelFacts
from yolact.serving.answering import Answer, Question, answer
from yolact.serving.backend_engine import BackendEngine
from yolact.serving.metrics import Metrics

_GPU = "GPU"


class TritonPythonModel:
    """One instance of the model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the engine. If that fails, Triton does not load the model and gives the error as its reason."""
        logging.getLogger("yolact").addHandler(_TritonLog(logging.WARNING))
        try:
            _check_arrays()
            config = from_json(args["model_config"])
            parameters = {name: value["string_value"] for name, value in config["parameters"].items()}
            self._facts = ModelFacts.from_parameters(parameters, f"the model {args['model_name']}")
            self._detector = _open(self._facts, config, args)
            if not self._facts.engine_model:
                self._warm_up()
        except YolactError as error:
            raise pb_utils.TritonModelException(str(error)) from None
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1, "yolact serving")
        self._metrics = Metrics(pb_utils, args["model_name"], args["model_version"])

    def _warm_up(self) -> None:
        """Run once before Triton reports the model as ready, so that an engine that cannot run is reported now."""
        self._detector([make_check_image()])

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer the requests of a batch; each gets its own answer or its own error."""
        questions = [self._read(request) for request in requests]
        with self._metrics.timing():
            answers = answer(self._detector, questions, self._facts.masks, self._pool)
        self._metrics.count(questions, answers)
        return [_response(one) for one in answers]

    def finalize(self) -> None:
        """Free the engine."""
        self._pool.shutdown()
        self._detector.close()

    def _read(self, request: Any) -> Question | YolactError:
        try:
            wanted = wire.from_parameters(from_json(request.parameters() or "{}"), self._facts.usual)
            images, pixels = (pb_utils.get_input_tensor_by_name(request, name) for name in (wire.IMAGE, wire.PIXELS))
            if (images is None) == (pixels is None):
                got = "neither" if images is None else "both"
                raise UsageError(f"the request must have the input {wire.IMAGE} or {wire.PIXELS}, got {got}")
            sources = list(pixels.as_numpy()) if images is None else images.as_numpy()[:, 0].tolist()
            return Question(sources, wanted)
        except (UsageError, ValueError) as error:
            return UsageError(str(error))


def _check_arrays() -> None:
    """Raise EngineError where the server changes the arrays that pass through it.

    The python backend of Triton 2.51 only knows the arrays of NumPy 1. In arrays of NumPy 2 it sees the first element
    everywhere, and the first image file ends its process.
    """
    sent = np.arange(4, dtype=np.int32)
    got = pb_utils.Tensor.from_dlpack("probe", pb_utils.Tensor("probe", sent).to_dlpack()).as_numpy()
    if not np.array_equal(sent, got):
        raise EngineError(
            f"the python backend of this Triton cannot read the arrays of NumPy {np.__version__}; install 'numpy<2' in "
            "its Python, or use a newer Triton"
        )


def _open(facts: ModelFacts, config: dict[str, Any], args: dict[str, str]) -> Detector:
    """The detector of this instance. Raises YolactError."""
    if facts.engine_model:
        batches = (facts.min_batch, int(config["max_batch_size"]))
        return Detector(BackendEngine(facts.engine_model, facts.metadata, batches))
    path = Path(args["model_repository"], args["model_version"], facts.engine)
    try:
        if sha256_of(path) != facts.engine_sha256:
            raise EngineError(f"{path} is not the engine that config.pbtxt was written for; run yolact-triton again")
    except OSError as error:
        raise EngineError(f"{path} cannot be read ({error.strerror}); run yolact-triton again") from error
    if args["model_instance_kind"] == _GPU:
        return Detector.open(path, device=f"cuda:{args['model_instance_device_id']}")
    return Detector.open(path, threads=_threads(config))


def _threads(config: dict[str, Any]) -> int | None:
    """Threads of one of several instances, which share the cores; None for the usual number."""
    instances = sum(int(group["count"]) for group in config["instance_group"])
    return None if instances == 1 else max(1, usable_cores() // instances)


def _response(one: Answer) -> Any:
    if isinstance(one, YolactError):
        code = pb_utils.TritonError.INVALID_ARG if isinstance(one, (ImageError, UsageError)) else None
        error = pb_utils.TritonError(str(one)) if code is None else pb_utils.TritonError(str(one), code)
        return pb_utils.InferenceResponse(error=error)
    return pb_utils.InferenceResponse([pb_utils.Tensor(name, array) for name, array in one.items()])


class _TritonLog(logging.Handler):
    """Writes the toolkit's warnings into the server's log."""

    def emit(self, record: logging.LogRecord) -> None:
        pb_utils.Logger.log_warn(record.getMessage())
