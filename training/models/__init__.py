"""The networks, their configurations and checkpoints."""
