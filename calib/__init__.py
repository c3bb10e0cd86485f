"""INT8 calibration."""

import yolact.runtime  # noqa: F401  first of all, it checks the installation
