"""TensorRT plans: building them, and saying what was built."""

import yolact.runtime  # noqa: F401  first of all, it checks the installation
