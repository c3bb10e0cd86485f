"""Networks, training, evaluation, explanation."""

import yolact.runtime  # noqa: F401 - before ONNX Runtime is loaded anywhere
