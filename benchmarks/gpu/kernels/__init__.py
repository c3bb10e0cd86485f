"""The CUDA kernels beside PyTorch, beside the bytes they must move, and by the compiler's report."""
