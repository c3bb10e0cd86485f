"""NVIDIA GPUs: memory, streams, arrays of other libraries, the kernels of this project."""
