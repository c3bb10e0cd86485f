"""The YOLACT and YOLACT++ networks in PyTorch, with the parameter names of the official checkpoints."""

import yolact.runtime  # noqa: F401  first of all, it checks the installation
