"""The networks in PyTorch, their data, training, evaluation, and how they arrive at their masks."""

import yolact.runtime  # noqa: F401  first of all, it checks the installation
