"""From a plan file to an engine that runs, or to the sentence that says why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from yolact.runtime.cuda.device import Device
from yolact.runtime.cuda.kernels import installed_kernels
from yolact.runtime.errors import EngineError
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.tensorrt.engine import TensorRTEngine
from yolact.runtime.tensorrt.flavour import TensorRt
from yolact.runtime.tensorrt.log import create, make_logger
from yolact.runtime.tensorrt.plan_compatibility import Machine, describe_build, find_obstacle, rebuild_advice
from yolact.runtime.tensorrt.plan_file import (
    PlanHeader,
    PlanIdentity,
    from_network_name,
    read_plan_header,
    read_sidecar,
    sidecar_of,
)
from yolact.runtime.tensorrt.plan_pair import find_sidecar
from yolact.runtime.tensorrt.plugin_library import PLUGINS


def open_plan(
    path: Path, device: int = 0, metadata: ModelMetadata | None = None, *, allow_host_code: bool = False
) -> TensorRTEngine:
    """Open a TensorRT plan on a GPU.

    Args:
        path: the plan; its sidecar is read if it is there.
        device: index of the GPU.
        metadata: of the model, instead of what the sidecar or the engine's own name says. A sidecar is then not read.
        allow_host_code: let TensorRT run code that the plan carries, as version compatible ones and those with plugins
            inside do. Only for plans you trust.

    Raises EngineError, which names the plan's builder, the software and GPU here, and the way to rebuild the plan.
    """
    header = read_plan_header(path)
    if header is None:
        raise EngineError(f"{path} is no TensorRT plan; build one with yolact-build")
    sidecar = find_sidecar(path) if metadata is None else None
    identity, told = (None, metadata) if sidecar is None else read_sidecar(sidecar)
    here = Machine.examine(header.flavour, device, _wanted_plugins(identity))
    obstacle = find_obstacle(path, header, identity, here, allow_host_code=allow_host_code)
    if obstacle is not None:
        raise EngineError(obstacle)
    assert isinstance(here.tensorrt, TensorRt)
    opened = Device.open(device)
    logger = make_logger(here.tensorrt.module)
    with opened.current():
        engine = _deserialize(path, header, identity, here.tensorrt, logger, allow_host_code)
        try:
            known = told or from_network_name(engine.name, str(path))
            if known is None:
                raise EngineError(
                    f"{path} has no sidecar {sidecar_of(path).name} and was not built by yolact-build, so its classes "
                    "and sizes are unknown; give the ONNX file it was built from with --metadata"
                )
            kernels = installed_kernels(opened)
            return TensorRTEngine(engine, here.tensorrt.module, known, opened, logger.reason, kernels)
        finally:
            del engine  # where it was refused, TensorRT frees it here, while its device is current


def _wanted_plugins(identity: PlanIdentity | None) -> tuple[str, ...]:
    """The plugins to register before a plan opens: all where no sidecar names them, none where it carries its own."""
    if identity is None:
        return PLUGINS
    return () if identity.plugins_embedded else identity.plugins


def _deserialize(
    path: Path,
    header: PlanHeader,
    identity: PlanIdentity | None,
    tensorrt: TensorRt,
    logger: Any,
    allow_host_code: bool,
) -> Any:
    """The `ICudaEngine`, on the current device."""
    runtime = create(tensorrt, "Runtime", logger)
    if allow_host_code:
        runtime.engine_host_code_allowed = True
    else:  # `engine_host_code_allowed` alone does not keep TensorRT from loading a plugin library inside the plan
        runtime.tempfile_control_flags = 0
    engine = runtime.deserialize_cuda_engine(path.read_bytes())
    if engine is None:
        reason, advice = logger.reason(), rebuild_advice(path, identity)
        if "plugin library" in reason and not allow_host_code:
            reason, advice = "it carries the code of plugins", "if you trust it, pass --allow-host-code"
        raise EngineError(
            f"{path}, built by {describe_build(header, identity)}, cannot be opened by {tensorrt} ({reason}); {advice}"
        )
    return engine
