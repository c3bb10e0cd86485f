"""INT8 calibration, and where two engines differ."""
