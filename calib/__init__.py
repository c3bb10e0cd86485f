"""INT8: calibration, quantisation, and what rounding each part of a network costs."""

import yolact.runtime  # noqa: F401  first of all, it checks the installation
