"""Images to detections, whatever runs the network."""

import os

# From 1.31 on ONNX Runtime reports its use to its makers and leaves files in the home folder, unless it is told not to
# before it is loaded. What people run with this toolkit is nobody else's business; who wants it sets the variable to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
