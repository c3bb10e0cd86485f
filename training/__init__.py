"""The YOLACT and YOLACT++ networks in PyTorch, with the parameter names of the official checkpoints."""
