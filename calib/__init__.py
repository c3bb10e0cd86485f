"""INT8: calibration, quantisation, and the cost of quantising each part of a network."""

import yolact.runtime  # noqa: F401  first of all, it checks the installation
