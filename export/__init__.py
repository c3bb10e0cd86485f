"""From a checkpoint to an ONNX file that was checked against PyTorch."""

import yolact.runtime  # noqa: F401  first of all, it checks the installation
