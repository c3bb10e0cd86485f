"""The options of a TensorRT builder, checked before anything is built."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from yolact.runtime.errors import UsageError

PluginUse = Literal["auto", "off", "embed"]
"""Use of the toolkit's plugin library: where it was built (auto), not at all (off), or put into the plan (embed)."""

MAX_OPTIMIZATION_LEVEL = 5
MAX_BATCH = 4096
MAX_WORKSPACE_MIB = 1 << 20


JETSONS = {
    "sm_53": "Nano and TX1",
    "sm_62": "TX2",
    "sm_72": "Xavier",
    "sm_87": "Orin",
    "sm_101": "Thor",
    "sm_110": "Thor",
}
"""GPUs of Jetson devices, which TensorRT for RTX does not build for. Source: NVIDIA, CUDA GPU compute capability; Thor
was renumbered in CUDA 13."""


@dataclass(frozen=True)
class BuildOptions:
    """Options of a build.

    Attributes:
        gpu_archs: architectures to build ahead of time for, such as ``sm_86``; TensorRT for RTX only. Empty: the GPU
            at hand, or every architecture that TensorRT for RTX targets.
        min_batch, opt_batch, max_batch: images per call: the fewest, the number to tune for, and the most.
        workspace_mib: limit of the scratch memory that layers may use, MiB; None for all of the GPU's memory.
        optimization_level: 0 (quick to build) to 5 (quick to run); None for TensorRT's default.
        timing_cache: folder of timing caches; None to use no cache.
        version_compatible: let later TensorRT open the plan, which then contains code.
        hardware_compatible: let every GPU from Ampere on run the plan.
        plugins: whether plugins take the place of the ONNX functions' bodies, see `PluginUse`.
    """

    gpu_archs: tuple[str, ...] = ()
    min_batch: int = 1
    opt_batch: int = 1
    max_batch: int = 1
    workspace_mib: int | None = None
    optimization_level: int | None = None
    timing_cache: Path | None = None
    version_compatible: bool = False
    hardware_compatible: bool = False
    plugins: PluginUse = "auto"

    def __post_init__(self) -> None:
        for arch in self.gpu_archs:
            if (jetson := _find_jetson(arch)) is not None:
                raise UsageError(
                    f"plans for {jetson} can only be built on it: copy the ONNX file there and run yolact-build, "
                    f"with the TensorRT of its JetPack and without --gpu-arch {arch}"
                )
            if not re.fullmatch(r"sm_\d{2,3}", arch):
                raise UsageError(f"GPU architectures are written like sm_86, got {arch!r}")
        if not 1 <= self.min_batch <= self.opt_batch <= self.max_batch <= MAX_BATCH:
            raise UsageError(
                f"batch sizes must be 1 <= min <= opt <= max <= {MAX_BATCH}, "
                f"got min {self.min_batch}, opt {self.opt_batch}, max {self.max_batch}"
            )
        if self.workspace_mib is not None and not 1 <= self.workspace_mib <= MAX_WORKSPACE_MIB:
            raise UsageError(f"the workspace must be 1 to {MAX_WORKSPACE_MIB} MiB, got {self.workspace_mib}")
        if self.optimization_level is not None and not 0 <= self.optimization_level <= MAX_OPTIMIZATION_LEVEL:
            raise UsageError(
                f"the optimisation level must be 0 to {MAX_OPTIMIZATION_LEVEL}, got {self.optimization_level}"
            )

        if self.plugins not in get_args(PluginUse):
            raise UsageError(f"plugins must be {', '.join(get_args(PluginUse))}, got {self.plugins!r}")

    def for_fixed_batch(self, batch: int) -> BuildOptions:
        """These options for an ONNX file that takes exactly `batch` images. Raises UsageError where they ask for other
        sizes; the default of 1 for all three is accepted."""
        if {self.min_batch, self.opt_batch, self.max_batch} not in ({1}, {batch}):
            raise UsageError(
                f"the ONNX file was exported for batches of exactly {batch}, so give no --min-batch, "
                "--opt-batch and --max-batch, or export it with --batch dynamic"
            )
        return replace(self, min_batch=batch, opt_batch=batch, max_batch=batch)


@dataclass(frozen=True)
class BuildRequest:
    """The user's request to the builder.

    Attributes:
        options: of the build.
        module: Python module of the TensorRT flavour to use, None to choose.
        given: the options that were on the command line, such as ``--gpu-arch``.
    """

    options: BuildOptions
    module: str | None
    given: tuple[str, ...]


def _find_jetson(arch: str) -> str | None:
    """The Jetson that an architecture or the name of a device means; None where it means another GPU."""
    word = arch.lower().removeprefix("jetson").strip(" -_")
    if arch in JETSONS:
        return f"Jetson {JETSONS[arch]}"
    known = [name for name in JETSONS.values() if word and any(part in word for part in name.lower().split(" and "))]
    if known:
        return f"Jetson {known[-1]}"
    return "a Jetson" if "jetson" in arch.lower() or word in ("agx", "tegra") else None
