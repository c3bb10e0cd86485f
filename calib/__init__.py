"""INT8 calibration, and where two engines differ."""

import yolact.runtime  # noqa: F401 - before ONNX Runtime is loaded anywhere
