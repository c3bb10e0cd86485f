"""ONNX Runtime's execution providers: those of each device, and their options.

The code for GPUs has not yet run on one.
"""

from __future__ import annotations

import hashlib
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from functools import cache
from io import StringIO

import onnxruntime

from yolact.runtime.cache_folder import cache_folder
from yolact.runtime.contract import INPUT_NAME
from yolact.runtime.engine import DeviceChoice
from yolact.runtime.errors import UsageError
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.wording import one_line

PROVIDERS = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
}
"""ONNX Runtime's execution providers for each kind of device. An operator runs on the first one that has it."""

LEAST_BATCH, TUNED_BATCH, MOST_BATCH = 1, 8, 32
"""Batches of the TensorRT provider's engine where the file takes any; without them it builds anew for each size."""


@dataclass(frozen=True)
class TensorRtModel:
    """The facts that the TensorRT provider needs before it opens a file.

    Attributes:
        metadata: of the file.
        dynamic: whether the file takes any batch.
        sha256: of the file's bytes. Engines are kept by it, since the provider tells files apart by their names and
            nodes alone and would take the engine of other weights.
    """

    metadata: ModelMetadata
    dynamic: bool
    sha256: str


def check_provider(device: DeviceChoice) -> None:
    """Raise UsageError where this ONNX Runtime was built without the provider that the device needs."""
    available = onnxruntime.get_available_providers()
    provider = PROVIDERS[device.kind][0]
    if provider not in available:  # ONNX Runtime itself would go on with the CPU and a warning
        raise UsageError(
            f"this ONNX Runtime has no {provider} for {device}, only {', '.join(available)}; "
            "replace it by a package that has: pip uninstall onnxruntime, then pip install onnxruntime-gpu"
        )


@cache
def load_libraries() -> str:
    """Load CUDA's and cuDNN's libraries where pip has put them, once a process; return the message about that.

    ONNX Runtime 1.21 and later can; it prints what fails, where commands print their results.
    """
    if not hasattr(onnxruntime, "preload_dlls"):
        return ""
    with redirect_stdout(StringIO()) as told:
        try:
            onnxruntime.preload_dlls()
        except Exception as error:  # whatever it is, the provider itself says what is missing
            told.write(str(error))
    return one_line(told.getvalue())


def provider_options(device: DeviceChoice, model: TensorRtModel | None = None) -> list[tuple[str, dict[str, str]]]:
    """Execution providers, best first, with their options. `model` is for the TensorRT provider, where it is known."""
    if device.kind == "cpu":
        return [(name, {}) for name in PROVIDERS["cpu"]]
    index = {"device_id": str(device.index)}
    options = {"TensorrtExecutionProvider": index | _tensorrt_options(model), "CUDAExecutionProvider": index}
    return [(name, options.get(name, {})) for name in PROVIDERS[device.kind]]


def _tensorrt_options(model: TensorRtModel | None) -> dict[str, str]:
    """Precision, batches and caches. Source: ONNX Runtime's page on the TensorRT provider."""
    if model is None:
        return {}
    int8 = model.metadata.quantization is not None
    options = {"trt_fp16_enable": _flag(model.metadata.precision == "fp16"), "trt_int8_enable": _flag(int8)}
    if model.dynamic:
        size = model.metadata.config.image_size
        for kind, batch in (("min", LEAST_BATCH), ("opt", TUNED_BATCH), ("max", MOST_BATCH)):
            options[f"trt_profile_{kind}_shapes"] = f"{INPUT_NAME}:{batch}x{size}x{size}x3"
    return options | _caches(model)


def _caches(model: TensorRtModel) -> dict[str, str]:
    """Folders for engines and kernels' times; none where they cannot be made, as caches only save time."""
    folder = cache_folder("onnxruntime")
    if folder is None:
        return {}
    version = hashlib.sha256(f"{onnxruntime.__version__} {model.sha256}".encode()).hexdigest()[:32]
    folders = {"engine": folder / version, "timing": folder / "timing"}
    options: dict[str, str] = {}
    with suppress(OSError):
        for kind, path in folders.items():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            options |= {f"trt_{kind}_cache_enable": "1", f"trt_{kind}_cache_path": str(path)}
    return options


def _flag(value: bool) -> str:
    return str(int(value))
