"""Engine files that ONNX Runtime runs."""
