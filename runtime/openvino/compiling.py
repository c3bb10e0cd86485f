"""Compiles ONNX files of this toolkit with OpenVINO. All options of OpenVINO are set here."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from yolact.runtime.cache_folder import cache_folder
from yolact.runtime.engine import ComputePrecision, DeviceChoice
from yolact.runtime.errors import EngineError
from yolact.runtime.openvino.kept_model import keep, read_kept
from yolact.runtime.openvino.library import core, reason_of, software


class ModelRefused(EngineError):
    """A model that OpenVINO does not compile. The message quotes its reason."""


def compile_model(
    model: bytes, batch: int, device: DeviceChoice, threads: int | None = None, precision: ComputePrecision = "file"
) -> Any:
    """OpenVINO's `CompiledModel` of a serialised ONNX model without functions.

    Args:
        model: from `inlined`.
        batch: the only number of images that it will take, if the model takes any. With an open number, OpenVINO
            2026.4.1 computes INT8 networks with MobileNetV2 wrongly, and is slower.
        device: of kind ``openvino``, which `check_device` has found.
        threads: threads within an operator on the CPU; None lets OpenVINO take the physical cores.
        precision: see `EngineOptions`.

    Raises ModelRefused.
    """
    settings = _settings(device, threads, precision)
    kept = _place(model, batch, device, precision) if is_kept(device) else None
    if kept is None:
        return _compile(model, batch, device, settings)
    made_by = {"software": software(), "device": str(core().get_property(device.name, "FULL_DEVICE_NAME"))}
    known = read_kept(kept, made_by)
    if known is not None:
        with suppress(RuntimeError):  # the device's driver may be another by now
            return core().import_model(known, device.name, settings)
    compiled = _compile(model, batch, device, settings)
    with suppress(RuntimeError):  # not every device can export a compiled model
        keep(kept, made_by, _exported(compiled))
    return compiled


def is_kept(device: DeviceChoice) -> bool:
    """Whether compiled models are kept in the user's cache folder.

    Models for the CPU are not kept: reading one, with its digest, takes nearly as long as compiling it.
    """
    return device.name != "CPU"


def _settings(device: DeviceChoice, threads: int | None, precision: ComputePrecision) -> dict[str, Any]:
    """Settings for one image after the other, and for float32 unless `precision` is ``auto``: OpenVINO's own choice is
    bfloat16 on a CPU that has it, and float16 on a GPU.

    OpenVINO's pinning of threads is turned off. It pins the threads of each process to the first cores of the machine,
    so several processes would share these and leave the others idle.
    """
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if precision == "file":
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    if device.name == "CPU":
        settings["ENABLE_CPU_PINNING"] = False
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
    return settings


def _compile(model: bytes, batch: int, device: DeviceChoice, settings: dict[str, Any]) -> Any:
    try:
        network = core().read_model(model)
        _fix_batch(network, batch)
        return core().compile_model(network, device.name, settings)
    except Exception as error:  # OpenVINO's exceptions share no base class of its own
        raise ModelRefused(f"{software()} refuses the model on {device.name} ({reason_of(error)})") from error


def _fix_batch(network: Any, batch: int) -> None:
    """Give inputs with an open number of images this one."""
    shapes = {images: images.partial_shape for images in network.inputs}
    open_ones = {images: shape for images, shape in shapes.items() if shape.rank.is_static and shape[0].is_dynamic}
    for shape in open_ones.values():
        shape[0] = batch
    if open_ones:
        network.reshape(open_ones)


def _place(model: bytes, batch: int, device: DeviceChoice, precision: ComputePrecision) -> Path | None:
    """The file of a compiled model, named by the digest of its source; None for a user without a home."""
    folder = cache_folder("openvino")
    if folder is None:
        return None
    key = hashlib.sha256(f"{device.name} {precision} {batch} ".encode())
    key.update(model)
    return folder / f"{key.hexdigest()[:32]}.blob"


def _exported(compiled: Any) -> bytes:
    stream = compiled.export_model()
    return stream if isinstance(stream, bytes) else bytes(stream.getbuffer())
