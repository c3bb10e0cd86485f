"""What a test may lack on a machine, and how to have it there: reasons for skipping that several tests give.

`make test` lists them at its end.
"""

from __future__ import annotations

CHROMIUM = "Chromium is not installed -- apt-get install chromium"
LINUX = "this is about Linux -- run the tests there"
NVIMGCODEC = "nvImageCodec is not installed -- pip install nvidia-nvimgcodec-cu13"
NVDISASM = "nvdisasm is not here -- pip install nvidia-cuda-nvdisasm"
CUDA_TOOLKIT = "the CUDA toolkit is not here -- install it, or set CUDA_HOME to its folder"
OPENVINO = "OpenVINO is not installed -- pip install '.[openvino]'"
POLYGRAPHY = "Polygraphy is not installed -- pip install '.[diff]'"
PYCOCOTOOLS = "pycocotools is not installed -- pip install '.[eval]'"
PYTORCH = "PyTorch is not installed -- pip install '.[export]'"
SUPERVISION = "supervision is not installed -- pip install '.[supervision]'"
TENSORRT_HEADERS = "TensorRT's C++ headers are not here -- apt-get install libnvinfer-headers-dev, which NVIDIA has"
TENSORRT_RTX = "TensorRT for RTX is not installed -- pip install '.[rtx]' on Linux x86-64"
TRITON = "Triton's server is not here -- make triton, on Linux x86-64 with glibc 2.35 and Python up to 3.12"
TRITON_CLIENT = "Triton's client is not installed -- pip install '.[triton]'"
WITHOUT_A_GPU = "this is about machines without a GPU or its driver -- run the tests on one"

_PACKAGES = {"gcc": "gcc", "g++": "g++", "cc": "gcc", "c++": "g++", "nm": "binutils", "readelf": "binutils"}


def program(name: str) -> str:
    """The reason where a program is missing that Debian has in a package."""
    return f"{name} is not installed -- apt-get install {_PACKAGES.get(name, name)}"
