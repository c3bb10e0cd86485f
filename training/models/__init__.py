"""The YOLACT and YOLACT++ networks under the official parameter names, their configurations and checkpoints."""
