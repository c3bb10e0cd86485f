"""Steps of the check that look at the machine, build the kernels for its GPU and time them.

Not yet run on a GPU.
"""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

from benchmarks.figures import write_figures
from benchmarks.gpu.check.skipping import Skip, missing_module, require_gpu
from benchmarks.gpu.nvidia_smi import ask_nvidia_smi
from yolact.plugins.build import LIBRARY_FOLDER, BuildFailed, build, find_tools
from yolact.runtime.errors import YolactError

QUERY = (
    *("name", "driver_version", "compute_cap", "memory.total", "memory.used", "utilization.gpu", "temperature.gpu"),
    *("clocks.sm", "clocks.max.sm", "clocks.mem", "clocks.max.mem", "power.draw", "power.limit"),
)
"""Fields that nvidia-smi is asked for: the hardware, its clocks, and whether another program uses the GPU."""

KERNEL_TIMINGS = ((1, 32, 8), ("fp16",), ("realistic",))
"""The batches, types and cases of the kernels that matter most; timing all of them takes too long. The batches with an
aim come first."""


def examine(result: Path) -> None:
    """Record everything that figures depend on. Raises Skip where there is no GPU."""
    found: dict[str, Any] = {"python": platform.python_version(), "system": platform.platform(), "cpus": os.cpu_count()}
    found["nvidia_smi"] = smi = ask_nvidia_smi(*QUERY)
    write_figures(result, found)
    found |= _ask_torch()
    capability = found.get("capability") or smi.get("compute_cap", "").split(".")
    if len(capability) == 2:
        found["arch"] = "sm_{}{}".format(*capability)
    write_figures(result, found)
    found["doctor"] = _ask_doctor()  # comes last, as it loads the most libraries that may be broken
    write_figures(result, found)
    if "arch" not in found:
        raise Skip(f"there is no CUDA GPU: {found['torch']}; {smi['missing']}")


def _ask_torch() -> dict[str, Any]:
    """A clause about PyTorch under "torch" and, where it can use a GPU, the GPU's capability and description."""
    try:
        import torch
    except ModuleNotFoundError as error:
        return {"torch": missing_module(error.name) or str(error)}
    if not torch.cuda.is_available():
        return {"torch": f"PyTorch {torch.__version__} can use none"}
    from benchmarks.gpu.kernels.timing import describe_gpu

    cudnn = torch.backends.cudnn.version()
    return {
        "torch": f"PyTorch {torch.__version__}",
        "capability": list(torch.cuda.get_device_capability()),
        **describe_gpu(),
        "cudnn": cudnn and str(cudnn),
    }


def _ask_doctor() -> dict[str, str]:
    """The findings of `yolact-doctor`."""
    try:
        from yolact.runtime.doctor import examine_machine
    except ModuleNotFoundError as error:
        return {"doctor": missing_module(error.name) or str(error)}
    return {found.title: ("" if found.usable else "-- ") + found.text for found in examine_machine()}


def build_kernels(result: Path, machine: str, output: str = str(LIBRARY_FOLDER)) -> None:
    """Build the kernels and the plugins for the GPU of this machine.

    The command `yolact-build-plugins` is not used: it needs click, and cuda-bindings to see the GPU.

    Args:
        result: the file for the result.
        machine: the file with the result of `examine`.
        output: the folder of the libraries.

    Raises:
        Skip: the compiler is missing, or the GPU's architecture is not known.
        YolactError: the build fails.
    """
    try:
        arch = json.loads(Path(machine).read_text(encoding="utf-8"))["arch"]
    except (OSError, ValueError, KeyError):
        raise Skip("the GPU's architecture is not known, as the machine could not be examined") from None
    try:
        tools = find_tools()
    except BuildFailed as error:
        raise Skip(str(error)) from error
    try:
        files = build(arch, Path(output), tools)
    except BuildFailed as error:
        print(error.log)
        raise YolactError(str(error)) from error
    sizes = {str(file.relative_to(output)): file.stat().st_size for file in files}
    write_figures(result, {"arch": arch, "bytes": sizes})


def time_kernels(result: Path) -> None:
    """Time the kernels and write their report. Raises Skip without a GPU, YolactError where results differ."""
    _time_kernels(result, compiled=False)


def time_beside_compiled(result: Path) -> None:
    """Time both plugins again, beside what torch.compile makes of PyTorch. Raises as `time_kernels`."""
    _time_kernels(result, compiled=True)


def _time_kernels(result: Path, *, compiled: bool) -> None:
    from benchmarks.gpu.kernels import speed

    require_gpu()
    speed.time_kernels(KERNEL_TIMINGS, result, compiled=compiled, images=not compiled)
