"""Whether a plan can run on this machine, and if not, why not: in one sentence, with what rebuilds it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from yolact.runtime.errors import EngineError
from yolact.runtime.gpu import Gpu, read_gpu
from yolact.runtime.plan_file import PlanHeader, PlanIdentity
from yolact.runtime.tensorrt_flavour import Flavour, FlavourMissing, TensorRt, load_flavour

PLUGIN_NAMESPACE, PLUGIN_VERSION = "yolact", "1"

_AMPERE = 80


@dataclass(frozen=True)
class Here:
    """What this machine has for plans of one flavour.

    Attributes:
        tensorrt: of the plan's flavour, or the sentence why it is missing.
        gpu: the device, or the sentence why none can be used.
        plugins: names of the toolkit's plugins that are registered.
    """

    tensorrt: TensorRt | str
    gpu: Gpu | str
    plugins: frozenset[str] = frozenset()

    @classmethod
    def look(cls, flavour: Flavour, device: int, wanted_plugins: tuple[str, ...]) -> Here:
        """Look around on this machine."""
        tensorrt: TensorRt | str
        gpu: Gpu | str
        try:
            tensorrt = load_flavour(flavour)
        except FlavourMissing as error:
            return cls(str(error), "")
        try:
            gpu = read_gpu(device)
        except EngineError as error:
            gpu = str(error)
        registry = tensorrt.module.get_plugin_registry()
        found = (n for n in wanted_plugins if registry.get_creator(n, PLUGIN_VERSION, PLUGIN_NAMESPACE) is not None)
        return cls(tensorrt, gpu, frozenset(found))


def describe_build(header: PlanHeader, identity: PlanIdentity | None) -> str:
    """What built a plan and for what, as far as is known: `TensorRT 10.3.0.26 on NVIDIA Orin (sm_87)`."""
    built = f"{header.flavour.title} {header.version}"
    if identity is None:
        return built
    archs = ", ".join(identity.gpu_archs)
    if identity.gpu_name:
        return f"{built} on {identity.gpu_name} ({archs})"
    return f"{built} for {archs}" if archs else built


def rebuild_advice(path: Path, identity: PlanIdentity | None) -> str:
    """The command that builds it again, as far as is known."""
    known = identity.command if identity is not None and identity.command else None
    return f"rebuild it here with: {known or f'yolact-build --onnx <the ONNX file it was built from> --output {path}'}"


def why_not(path: Path, header: PlanHeader, identity: PlanIdentity | None, here: Here) -> str | None:
    """The first reason why a plan cannot run here, as a sentence, or None where none is known.

    Args:
        path: of the plan, which is only named and measured.
        header: its first bytes.
        identity: its sidecar, if there is one.
        here: this machine.
    """
    reason = _size_reason(path, identity) or _tensorrt_reason(header, identity, here) or _gpu_reason(identity, here)
    if reason is None and identity is not None:
        missing = sorted(set(identity.plugins) - here.plugins)
        reason = f"it needs the plugins {', '.join(missing)}, which are not loaded" if missing else None
    if reason is None:
        return None
    return f"{path}, built by {describe_build(header, identity)}, cannot run here: {reason}"


def _size_reason(path: Path, identity: PlanIdentity | None) -> str | None:
    size = path.stat().st_size
    if identity is None or size == identity.size:
        return None
    return (
        f"it has {size} bytes where its sidecar says {identity.size}, so it was cut off or replaced; "
        f"copy it again or {rebuild_advice(path, identity)}"
    )


def _tensorrt_reason(header: PlanHeader, identity: PlanIdentity | None, here: Here) -> str | None:
    if isinstance(here.tensorrt, str):
        return here.tensorrt
    ours, theirs = here.tensorrt.version, header.version
    if identity is None or ours[:3] == theirs[:3]:
        return None  # without a sidecar only TensorRT itself can tell whether the plan is a version compatible one
    if identity.version_compatible and ours.major == theirs.major and ours >= theirs:
        return None
    return f"here is {here.tensorrt}, and plans run in the version that built them; " + (
        f"rebuild it here with: {identity.command}" if identity.command else "build it again with yolact-build"
    )


def _gpu_reason(identity: PlanIdentity | None, here: Here) -> str | None:
    if isinstance(here.gpu, str):
        return here.gpu
    if identity is None or not identity.gpu_archs or here.gpu.arch in identity.gpu_archs:
        return None
    archs = [int(arch[3:]) for arch in (*identity.gpu_archs, here.gpu.arch)]
    if identity.hardware_compatible and min(archs) >= _AMPERE:
        return None
    command = identity.command or "yolact-build"
    if identity.gpu_name:
        return f"here is {here.gpu.name} ({here.gpu.arch}); rebuild it here with: {command}"
    return f"here is {here.gpu.name} ({here.gpu.arch}); build it with --gpu-arch {here.gpu.arch}, it was: {command}"
