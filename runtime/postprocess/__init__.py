"""Heads of the network to detections, in NumPy."""
