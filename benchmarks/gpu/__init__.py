"""Benchmarks for NVIDIA GPUs: the check of everything on one, whole detectors, CUDA kernels, TensorRT plans."""
