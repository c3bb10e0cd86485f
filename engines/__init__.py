"""TensorRT plans: building them, and saying what was built."""
