"""INT8 calibration."""
