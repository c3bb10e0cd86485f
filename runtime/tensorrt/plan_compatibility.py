"""Whether a plan can run on this machine; if not, one sentence with the reason and the command that rebuilds it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from yolact.runtime.cuda.built_libraries import GpuCode
from yolact.runtime.cuda.gpu import Gpu, read_gpu
from yolact.runtime.errors import EngineError
from yolact.runtime.tensorrt.flavour import (
    TENSORRT,
    TENSORRT_RTX,
    Flavour,
    FlavourMissing,
    TensorRt,
    known_architectures,
    load_flavour,
    registered_plugins,
)
from yolact.runtime.tensorrt.plan_file import PlanHeader, PlanIdentity
from yolact.runtime.tensorrt.plugin_library import HOW_TO_BUILD, how_to_build_for, load_plugins, loaded_code

_AMPERE = 80


@dataclass(frozen=True)
class Machine:
    """The software and GPU that this machine has for plans of one flavour.

    Attributes:
        tensorrt: of the plan's flavour, or the sentence why it is missing.
        gpu: the device, or the sentence why none can be used.
        architectures: that this flavour can build for ahead of time.
        plugins: names of the toolkit's plugins that are registered.
        plugin_code: which GPUs they have code for, None where that is unknown.
    """

    tensorrt: TensorRt | str
    gpu: Gpu | str
    architectures: tuple[str, ...] = ()
    plugins: frozenset[str] = frozenset()
    plugin_code: GpuCode | None = None

    @classmethod
    def examine(cls, flavour: Flavour, device: int, wanted_plugins: tuple[str, ...]) -> Machine:
        """Examine this machine. Where plugins are wanted, the toolkit's library is loaded, if there is one.

        Raises EngineError where that library does not load.
        """
        gpu: Gpu | str
        try:
            tensorrt = load_flavour(flavour)
        except FlavourMissing as error:
            return cls(str(error), "")
        try:
            gpu = read_gpu(device)
        except EngineError as error:
            gpu = str(error)
        if wanted_plugins:
            load_plugins(tensorrt)
        plugins = registered_plugins(tensorrt, wanted_plugins)
        return cls(tensorrt, gpu, tuple(known_architectures(tensorrt)), plugins, loaded_code(tensorrt))


def describe_build(header: PlanHeader, identity: PlanIdentity | None) -> str:
    """The builder of a plan and its target, as far as known: `TensorRT 10.3.0.26 on NVIDIA Orin (sm_87)`."""
    built = f"{header.flavour.title} {header.version}"
    if identity is None:
        return built
    archs = ", ".join(identity.gpu_archs)
    if identity.gpu_name:
        return f"{built} on {identity.gpu_name} ({archs})"
    return f"{built} for {archs}" if archs else built


def rebuild_advice(path: Path, identity: PlanIdentity | None) -> str:
    """The command that builds it again, as far as is known."""
    known = identity.command_line if identity is not None else ""
    return "rebuild it here with: " + (
        known or f"yolact-build --engine <the ONNX file it was built from> --output {path}"
    )


def find_obstacle(
    path: Path, header: PlanHeader, identity: PlanIdentity | None, here: Machine, *, allow_host_code: bool = False
) -> str | None:
    """The first reason why a plan cannot run here, as a sentence, or None where none is known.

    Args:
        path: of the plan.
        header: its first bytes.
        identity: its sidecar, if there is one.
        here: this machine.
        allow_host_code: the user trusts the code that a plan carries: version compatible ones, or with plugins inside.
    """
    reason = (
        _contents_reason(path, identity)
        or _tensorrt_reason(path, header, identity, here, allow_host_code)
        or _gpu_reason(path, header, identity, here)
        or _plugin_reason(identity, here, allow_host_code)
    )
    if reason is None:
        return None
    return f"{path}, built by {describe_build(header, identity)}, cannot run here: {reason}"


def _contents_reason(path: Path, identity: PlanIdentity | None) -> str | None:
    if identity is None:
        return None
    size, reason = path.stat().st_size, ""
    if size != identity.size:
        reason = f"it has {size} bytes where its sidecar says {identity.size}, so it was cut off or replaced"
    elif hashlib.sha256(path.read_bytes()).hexdigest() != identity.plan_sha256:
        reason = f"its contents are not those that {path.name}.json describes, so one of the two was replaced"
    return f"{reason}; copy both again or {rebuild_advice(path, identity)}" if reason else None


def _tensorrt_reason(
    path: Path, header: PlanHeader, identity: PlanIdentity | None, here: Machine, allow_host_code: bool
) -> str | None:
    if isinstance(here.tensorrt, str):
        return here.tensorrt
    ours, theirs = here.tensorrt.version, header.version
    if identity is not None and identity.version_compatible:
        if ours < theirs:
            return f"here is {here.tensorrt}, which is older; {rebuild_advice(path, identity)}"
        if not allow_host_code:
            return "it is version compatible, so it carries code; if you trust it, pass --allow-host-code"
        return None
    if ours[:3] == theirs[:3] or (identity is None and header.flavour is TENSORRT):
        return None  # without a sidecar only TensorRT itself can tell whether a plan of it is version compatible
    return f"here is {here.tensorrt}, and plans run in the version that built them; {rebuild_advice(path, identity)}"


def _gpu_reason(path: Path, header: PlanHeader, identity: PlanIdentity | None, here: Machine) -> str | None:
    if isinstance(here.gpu, str):
        return here.gpu
    if identity is None or here.gpu.arch in identity.gpu_archs:
        return None
    ampere = int(here.gpu.arch[3:]) >= _AMPERE
    if not identity.gpu_archs:
        fits = ampere or header.flavour is not TENSORRT_RTX
    else:
        fits = identity.hardware_compatible and min(int(arch[3:]) for arch in identity.gpu_archs) >= _AMPERE and ampere
    if fits:
        return None
    gpu = f"here is {here.gpu.name} ({here.gpu.arch})"
    if header.flavour is not TENSORRT_RTX:
        return f"{gpu}; {rebuild_advice(path, identity)}"
    if here.gpu.arch not in here.architectures:
        return f"{gpu}, for which {TENSORRT_RTX.title} does not build ahead of time; build a plan with TensorRT there"
    return f"{gpu}; build it with --gpu-arch {here.gpu.arch}, it was: {identity.command_line or 'not recorded'}"


def _plugin_reason(identity: PlanIdentity | None, here: Machine, allow_host_code: bool) -> str | None:
    if identity is None:
        return None
    if identity.plugins_embedded:
        trusted = "it carries the code of its plugins; if you trust it, pass --allow-host-code"
        return None if allow_host_code else trusted
    missing = ", ".join(sorted(set(identity.plugins) - here.plugins))
    if missing:
        return f"it needs the plugins {missing}, which are not loaded; {HOW_TO_BUILD}"
    if not identity.plugins or here.plugin_code is None or isinstance(here.gpu, str):
        return None
    if here.plugin_code.covers(here.gpu.arch):
        return None
    return (
        f"it needs the plugins {', '.join(identity.plugins)}, whose library has code for {here.plugin_code}, and here "
        f"is {here.gpu.name} ({here.gpu.arch}); {how_to_build_for(here.gpu.arch)}"
    )
