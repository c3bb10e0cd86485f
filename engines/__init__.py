"""Builds TensorRT plans, and describes them."""

import yolact.runtime  # noqa: F401  first of all, it checks the installation
