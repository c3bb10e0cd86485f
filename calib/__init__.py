"""INT8 calibration, and what it costs."""

import yolact.runtime  # noqa: F401 - before ONNX Runtime is loaded anywhere
