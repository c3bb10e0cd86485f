"""Engine files that TensorRT runs: opening plans, and running them."""
