"""The networks in PyTorch, their data, training and evaluation, and explanations of their masks."""

import yolact.runtime  # noqa: F401  first of all, it checks the installation
