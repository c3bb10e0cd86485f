"""CUDA kernels and TensorRT plugins in C++, and the command that builds them."""
