"""The benchmarks for NVIDIA GPUs.

    python -m benchmarks.gpu [kernels | resources | plans] [OPTIONS]

Everything that needs a GPU, detectors and kernels included, is run by `python -m benchmarks.gpu.check`. The check
needs the standard library alone, so it is not one of the commands here, which need click.
"""

from __future__ import annotations

from benchmarks.commands import Room

main = Room(
    {
        "kernels": ("benchmarks.gpu.kernels.speed", "the CUDA kernels on this GPU beside PyTorch"),
        "resources": ("benchmarks.gpu.kernels.resources", "registers and memory of each kernel, by the compiler"),
        "plans": ("benchmarks.gpu.plans", "TensorRT plans built ahead of time: seconds, sizes, layers"),
    },
    help="Benchmarks for NVIDIA GPUs. Only `kernels` needs one.",
    epilog="python -m benchmarks.gpu.check runs everything that needs a GPU, whole detectors too, in one call.",
)

if __name__ == "__main__":
    main()
