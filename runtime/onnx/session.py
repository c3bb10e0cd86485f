"""ONNX Runtime's sessions: the one place that sets their options and words their failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from yolact.runtime.contract import INPUT_NAME
from yolact.runtime.engine import CPU, DeviceChoice
from yolact.runtime.errors import EngineError
from yolact.runtime.onnx.device_input import DeviceInput
from yolact.runtime.onnx.external_data import refuse_external_data
from yolact.runtime.onnx.providers import PROVIDERS, TensorRtModel, check_provider, load_libraries, provider_options
from yolact.runtime.wording import one_line

if TYPE_CHECKING:
    import onnx


class ModelRefused(EngineError):
    """A model that ONNX Runtime cannot open. The message quotes its reason."""


SOFTWARE = f"ONNX Runtime {onnxruntime.__version__}"

_ERRORS_ONLY = 3
"""A severity of ONNX Runtime's log: it prints errors and keeps warnings to itself."""


def session_options(threads: int | None = None, *, optimise: bool = True) -> onnxruntime.SessionOptions:
    """Options of a session, see `open_session`."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.load_model_format", "ONNX")  # and nothing else by its name
    if threads is not None:
        options.intra_op_num_threads = threads
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def open_session(
    model: Path | onnx.ModelProto,
    device: DeviceChoice = CPU,
    *,
    threads: int | None = None,
    optimise: bool = True,
    tensorrt: TensorRtModel | None = None,
) -> onnxruntime.InferenceSession:
    """Open a model with ONNX Runtime.

    Args:
        model: an ONNX file, or a model in memory that `parse_proto` read or this toolkit made.
        device: the CPU, or a GPU through ONNX Runtime's CUDA or TensorRT provider.
        threads: threads within an operator; None lets ONNX Runtime take the physical cores.
        optimise: let ONNX Runtime rewrite the graph before it runs, as it does by default.
        tensorrt: facts about the file for the TensorRT provider; without them it takes its own defaults.

    Raises:
        ModelRefused: ONNX Runtime cannot open it.
        EngineError: the GPU cannot be used, or the file keeps weights in others.
        UsageError: this ONNX Runtime lacks the provider.
    """
    options = session_options(threads, optimise=optimise)
    check_provider(device)
    source = _checked(model) if isinstance(model, Path) else model.SerializeToString()
    told = "" if device.kind == "cpu" else load_libraries()
    providers = provider_options(device, tensorrt)
    try:
        session = onnxruntime.InferenceSession(source, options, providers=providers, enable_fallback=0)
    except Exception as error:  # ONNX Runtime's exceptions share no public base class
        raise ModelRefused(f"{SOFTWARE} refuses the model ({one_line(error)})") from error
    used, wanted = session.get_providers()[0], PROVIDERS[device.kind][0]
    if used != wanted:
        raise EngineError(
            f"{SOFTWARE} fell back to {used} for {device}: {wanted} does not load, mostly because libraries of CUDA, "
            f"cuDNN or TensorRT are missing{f' ({told})' if told else ''}; see yolact-doctor"
        )
    return session


def _checked(path: Path) -> str:
    """The name of a file that ONNX Runtime may see."""
    try:
        with path.open("rb") as file:
            refuse_external_data(file, str(path))
    except OSError as error:
        raise EngineError(f"{path} cannot be read: {error.strerror}") from error
    return str(path)


def run_session(
    session: onnxruntime.InferenceSession, outputs: Sequence[str], inputs: Mapping[str, NDArray[Any]]
) -> list[NDArray[Any]]:
    """Compute these outputs from inputs by name, the batch of images (N, S, S, 3) among them.

    Raises EngineError where ONNX Runtime fails, mostly because memory does not suffice.
    """
    try:
        values: list[NDArray[Any]] = session.run(list(outputs), dict(inputs))
    except Exception as error:  # ONNX Runtime's exceptions share no public base class
        raise _not_run(inputs[INPUT_NAME], error) from error
    return values


def run_into(
    session: onnxruntime.InferenceSession,
    outputs: Mapping[str, NDArray[Any]],
    images: NDArray[Any],
    on_device: DeviceInput | None = None,
) -> None:
    """Compute outputs of a batch of images (N, S, S, 3) right into the arrays of their names.

    `run_session` hands over copies of what ONNX Runtime fetched, from a GPU too; the masks of an image have 7.6 MB.
    `on_device` is where a session on a GPU takes the images from.

    Raises EngineError where ONNX Runtime fails, and where an output has another shape or type than its array.
    """
    binding = session.io_binding()
    images = np.ascontiguousarray(images)  # it has to live until the end of the run
    try:
        held = None if on_device is None else on_device.upload(images)
        if held is None:
            binding.bind_cpu_input(INPUT_NAME, images)
        else:
            binding.bind_ortvalue_input(INPUT_NAME, held.value)
        for name, array in outputs.items():
            binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        if on_device is not None and held is not None:
            on_device.done(held)
    except Exception as error:  # ONNX Runtime's exceptions share no public base class
        raise _not_run(images, error) from error


def _not_run(images: NDArray[Any], error: Exception) -> EngineError:
    return EngineError(f"ONNX Runtime could not run a batch of shape {images.shape} ({one_line(error)})")
