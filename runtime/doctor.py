"""Examines the software and GPUs of this machine, and whether a given engine file runs on it."""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import yolact
from yolact.runtime.cuda.gpu import Gpu, find_gpu
from yolact.runtime.engine import EngineOptions, ImageEngine
from yolact.runtime.engine_files import open_engine
from yolact.runtime.errors import EngineError, YolactError
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.packages import how_to_install
from yolact.runtime.tensorrt.flavour import (
    FLAVOURS,
    TENSORRT_RTX,
    Flavour,
    FlavourMissing,
    load_flavour,
)
from yolact.runtime.tensorrt.plan_compatibility import describe_build
from yolact.runtime.tensorrt.plan_file import PlanIdentity, read_plan_header, read_sidecar, sidecar_of
from yolact.runtime.tensorrt.plan_pair import find_sidecar
from yolact.runtime.tensorrt.plugin_library import describe_library, load_plugins
from yolact.runtime.wording import count_noun


class Finding(NamedTuple):
    """One line of the report.

    Attributes:
        title: the examined part.
        usable: whether it is there and works.
        text: versions, or the reason why it is not usable.
    """

    title: str
    usable: bool
    text: str


def examine_machine() -> Iterator[Finding]:
    """Everything that running an engine file can depend on. Missing parts are findings, never errors."""
    system = f"{platform.system()} {platform.machine()}"
    yield Finding("yolact", True, f"{yolact.__version__}, Python {platform.python_version()}, {system}")
    yield from _guarded("GPU", _examine_gpus)
    yield Finding("cuda-bindings", *_installed("cuda-bindings", "tensorrt"))
    for flavour in FLAVOURS:
        yield _examine_flavour(flavour)
    yield Finding("plugins", *describe_library(_gpus()))
    yield from _guarded("ONNX Runtime", _examine_onnxruntime)
    yield from _guarded("OpenVINO", _examine_openvino)
    yield Finding("onnx", *_installed("onnx", "export"))
    yield Finding("PyTorch", *_installed("torch", "export"))


def _guarded(title: str, examine: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of `examine`. Where it fails, the failure is the last finding."""
    try:
        yield from examine()
    except (YolactError, ImportError, OSError) as error:
        yield Finding(title, False, str(error))


def _examine_gpus() -> Iterator[Finding]:
    from yolact.runtime.cuda.device import Device

    index, count = 0, 1
    while index < count:
        device = Device.open(index)
        count = device.call("cuDeviceGetCount")
        free, total = (size / 2**30 for size in device.memory_info())
        cuda = ".".join(map(str, device.driver_version))
        driver = _driver_version()
        arch = "sm_{}{}".format(*device.compute_capability)
        memory = f"{free:.1f} of {total:.1f} GiB free"
        yield Finding(f"GPU {index}", True, f"{device.name} ({arch}), {memory}, driver{driver} for CUDA {cuda}")
        device.close()
        index += 1


def _gpus() -> Iterator[Gpu]:
    index = 0
    while (gpu := find_gpu(index)) is not None:
        yield gpu
        index += 1


def _driver_version() -> str:
    """The version of NVIDIA's driver with a space before it, an empty text where the kernel does not tell."""
    try:
        told = re.search(r"  (\d+\.\d+(\.\d+)?)  ", Path("/proc/driver/nvidia/version").read_text())
    except OSError:
        return ""
    return f" {told[1]}" if told else ""


def _examine_flavour(flavour: Flavour) -> Finding:
    try:
        tensorrt = load_flavour(flavour)
    except FlavourMissing as error:
        return Finding(flavour.title, False, str(error))
    use = "builds with and without a GPU" if flavour is TENSORRT_RTX else "builds for the GPU at hand"
    try:
        registered = load_plugins(tensorrt)
    except EngineError as error:
        return Finding(flavour.title, False, f"{tensorrt.version}, {use}; {error}")
    plugins = f"plugins {', '.join(sorted(registered))}" if registered else "no plugins of yolact"
    return Finding(flavour.title, True, f"{tensorrt.version}, {use}; {plugins}")


def _examine_onnxruntime() -> Iterator[Finding]:
    import onnxruntime

    providers = ", ".join(onnxruntime.get_available_providers())
    yield Finding("ONNX Runtime", True, f"{onnxruntime.__version__} with {providers}")


def _examine_openvino() -> Iterator[Finding]:
    from yolact.runtime.openvino.library import core, load_openvino, version_of

    version = version_of(load_openvino())
    devices = (f"{name} ({core().get_property(name, 'FULL_DEVICE_NAME')})" for name in core().available_devices)
    yield Finding("OpenVINO", True, f"{version} with {', '.join(devices)}")


def _installed(package: str, extra: str) -> tuple[bool, str]:
    try:
        return True, version(package)
    except PackageNotFoundError:
        return False, f"not installed; {how_to_install(extra)}"


def examine_engine(path: Path, options: EngineOptions) -> Iterator[Finding]:
    """Describe an engine file; the last finding says whether it can be opened here, or why not."""
    identity: PlanIdentity | None = None
    try:
        header = read_plan_header(path)
        if header is not None:
            sidecar = find_sidecar(path)
            if sidecar is not None:
                identity, metadata = read_sidecar(sidecar)
                yield _describe_model(metadata)
                yield from _describe_identity(path, identity)
            else:
                yield Finding("sidecar", False, f"there is no {sidecar_of(path).name}")
            yield Finding("built by", True, describe_build(header, identity))
        engine = open_engine(path, options)
    except (YolactError, OSError) as error:
        yield Finding("verdict", False, str(error))
        return
    if identity is None:
        yield _describe_model(engine.metadata)
    if isinstance(engine, ImageEngine):
        place = (
            "on the GPU" if engine.takes_images else "on the CPU, without kernels for this GPU: yolact-build-plugins"
        )
        yield Finding("images and masks", engine.takes_images, f"stretched {place}")
    engine.close()
    yield Finding("verdict", True, f"{path} runs here")


def _describe_model(model: ModelMetadata) -> Finding:
    config = model.config
    classes = count_noun(config.num_classes, "class")
    size = f"{config.image_size}x{config.image_size}"
    return Finding("model", True, f"{config.name}, {classes}, {size}, {model.graph} graph, {model.types}")


def _describe_identity(path: Path, identity: PlanIdentity) -> Iterator[Finding]:
    asked = f"{identity.precision_asked} was asked for, and the plan has {identity.convolutions}"
    yield Finding("precision", True, asked)
    yield Finding("batch", True, f"{identity.min_batch} to {identity.max_batch}, tuned for {identity.opt_batch}")
    if identity.plugins:
        place = "inside it" if identity.plugins_embedded else "from the library here"
        yield Finding("with plugins", True, f"{', '.join(identity.plugins)}, {place}")
    whole = hashlib.sha256(path.read_bytes()).hexdigest() == identity.plan_sha256
    yield Finding("contents", whole, "as built" if whole else "differ from what was built: the file was changed")
