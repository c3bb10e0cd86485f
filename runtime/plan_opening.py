"""From a plan file to an engine that runs, or to the sentence that says why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from yolact.runtime.cuda_device import Device
from yolact.runtime.errors import EngineError
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.plan_compatibility import Here, describe_build, rebuild_advice, why_not
from yolact.runtime.plan_file import (
    PlanHeader,
    PlanIdentity,
    from_network_name,
    read_plan_header,
    read_sidecar,
    sidecar_of,
)
from yolact.runtime.tensorrt_engine import TensorRTEngine
from yolact.runtime.tensorrt_flavour import TensorRt
from yolact.runtime.tensorrt_log import make_logger


def open_plan(path: Path, device: int = 0, metadata: ModelMetadata | None = None) -> TensorRTEngine:
    """Open a TensorRT plan on a GPU.

    Args:
        path: the plan; its sidecar is read if it is there.
        device: index of the GPU.
        metadata: of the model, instead of what the sidecar or the engine's own name says.

    Raises EngineError with what built the plan, what is here, and how to rebuild it.
    """
    header = read_plan_header(path)
    if header is None:
        raise EngineError(f"{path} is no TensorRT plan; build one with yolact-build")
    identity, told = read_sidecar(sidecar_of(path)) if sidecar_of(path).is_file() else (None, None)
    here = Here.look(header.flavour, device, identity.plugins if identity else ())
    obstacle = why_not(path, header, identity, here)
    if obstacle is not None:
        raise EngineError(obstacle)
    assert isinstance(here.tensorrt, TensorRt)
    opened = Device.open(device)
    try:
        with opened.current():
            engine = _deserialize(path, header, identity, here.tensorrt)
            known = metadata or told or from_network_name(engine.name, str(path))
            if known is None:
                raise EngineError(
                    f"{path} has no sidecar {sidecar_of(path).name} and was not built by yolact-build, so its classes "
                    "and sizes are unknown; give the ONNX file it was built from with --metadata"
                )
        return TensorRTEngine(engine, here.tensorrt.module, known, opened)
    except BaseException:
        opened.close()
        raise


def _deserialize(path: Path, header: PlanHeader, identity: PlanIdentity | None, tensorrt: TensorRt) -> Any:
    """The `ICudaEngine`, on the current device."""
    logger = make_logger(tensorrt.module)
    runtime = tensorrt.module.Runtime(logger)
    if identity is not None and identity.version_compatible:
        runtime.engine_host_code_allowed = True  # such a plan carries the runtime it needs
    engine = runtime.deserialize_cuda_engine(path.read_bytes())
    if engine is None:
        raise EngineError(
            f"{path}, built by {describe_build(header, identity)}, cannot be opened by {tensorrt} "
            f"({logger.reason()}); {rebuild_advice(path, identity)}"
        )
    return engine
