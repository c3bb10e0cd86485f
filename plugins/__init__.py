"""CUDA kernels and TensorRT plugins in C++, and the command that builds them."""

import yolact.runtime  # noqa: F401  first of all, it checks the installation
