"""Exported ONNX files on OpenVINO."""
