"""Whether PyTorch is here and can compute on a device: checked before a checkpoint is opened or a network trained."""

from __future__ import annotations

from yolact.runtime.engine import CPU, DeviceChoice
from yolact.runtime.errors import UsageError
from yolact.runtime.packages import PackageMissing


def check_torch() -> None:
    """Raise YolactError where PyTorch is missing."""
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError:
        raise PackageMissing("a checkpoint", "torch", "export") from None


def choose_device(asked: DeviceChoice | None) -> str:
    """PyTorch's name of the device that a checkpoint is to run on, the CPU where none is asked for.

    Raises UsageError where PyTorch cannot use it, YolactError where PyTorch is missing.
    """
    device = asked or CPU
    if device.kind in ("tensorrt", "openvino"):
        raise UsageError(f"--device {device} is for ONNX files; a checkpoint runs on cpu or cuda")
    check_torch()
    check_device(str(device))
    return str(device)


def check_device(name: str) -> None:
    """Raise UsageError where PyTorch cannot compute on the device of this name, such as ``cuda:1``."""
    import torch

    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:  # PyTorch without CUDA raises the latter
        reason = str(error).partition("\n")[0]
        raise UsageError(f"--device {name}: PyTorch cannot use it ({reason}); choose another device") from None
