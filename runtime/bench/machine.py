"""Describes the machine of a benchmark: processor, GPU, clocks, versions, memory. Unknown values are None."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from statistics import mean
from typing import Any

import cv2
import numpy as np

import yolact
from yolact.runtime.cpu_cores import usable_cores
from yolact.runtime.cuda.device import Device
from yolact.runtime.errors import EngineError

MIB = 2**20

_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_GPU_CLOCKS = {
    "clocks.sm": "sm_clock_mhz",
    "clocks.mem": "memory_clock_mhz",
    "clocks.max.sm": "max_sm_clock_mhz",
    "clocks.max.mem": "max_memory_clock_mhz",
}
"""nvidia-smi's names of the clocks (`nvidia-smi --help-query-gpu`), and their names in the result."""


def describe_cpu() -> dict[str, Any]:
    """Model, logical cores that this process may use, and the governor of their clocks."""
    models = _cpuinfo("model name")
    return {
        "model": models[0] if models else platform.processor() or None,
        "usable_cores": usable_cores(),
        "governor": _read(_GOVERNOR).strip() or None,
    }


def load_average() -> float | None:
    """The load average of the last minute: the number of cores' worth of work, other programs included."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):  # Windows has none
        return None


def describe_gpu(gpu: Device) -> dict[str, Any]:
    """Name, architecture, memory, and the newest CUDA that the driver supports."""
    major, minor = gpu.compute_capability
    return {
        "name": gpu.name,
        "arch": f"sm_{major}{minor}",
        "memory_mib": round(gpu.memory_info()[1] / MIB),
        "driver_cuda": ".".join(map(str, gpu.driver_version)),
    }


def read_clocks(gpu: Device | None) -> dict[str, float | None]:
    """Clocks of this moment, MHz: the mean of all processor cores, and those of the GPU where there is one."""
    cores = [float(value) for value in _cpuinfo("cpu MHz")]
    cpu = {"cpu_mhz": round(mean(cores), 1) if cores else None}
    return cpu if gpu is None else cpu | _gpu_clocks(gpu)


def _gpu_clocks(gpu: Device) -> dict[str, float | None]:
    unknown: dict[str, float | None] = dict.fromkeys(_GPU_CLOCKS.values())
    try:
        # CUDA counts GPUs in another order than nvidia-smi, and maybe not all of them.
        bus = gpu.call("cuDeviceGetPCIBusId", 32, gpu.call("cuDeviceGet", gpu.index)).split(b"\0")[0].decode()
        command = ["nvidia-smi", f"--id={bus}", f"--query-gpu={','.join(_GPU_CLOCKS)}", "--format=csv,noheader,nounits"]
        told = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (EngineError, OSError, subprocess.SubprocessError):
        return unknown
    return unknown | dict(zip(unknown, map(_number, told.split(",")), strict=False))


def _number(text: str) -> float | None:
    """A number of nvidia-smi's; None for [N/A] or [Not Supported], which it writes where a GPU does not tell."""
    try:
        return float(text)
    except ValueError:
        return None


def read_versions() -> dict[str, str]:
    """Versions of the software that runs the stages outside the engine."""
    return {
        "yolact": yolact.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "system": f"{platform.system()} {platform.machine()}",
    }


def peak_host_memory_mib() -> float | None:
    """The peak resident memory of this process, MiB; Linux only."""
    lines = [line for line in _read(Path("/proc/self/status")).splitlines() if line.startswith("VmHWM:")]
    return round(int(lines[0].split()[1]) / 1024, 1) if lines else None  # kB are KiB here


def used_gpu_memory_mib(gpu: Device) -> float:
    """How much memory of a GPU is in use, by all processes together."""
    free, total = gpu.memory_info()
    return round((total - free) / MIB, 1)


def _cpuinfo(key: str) -> list[str]:
    """Values of a key in /proc/cpuinfo, one for each core."""
    pairs = (line.partition(":") for line in _read(Path("/proc/cpuinfo")).splitlines())
    return [value.strip() for name, _, value in pairs if name.strip() == key]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
