"""Detections that a Triton server makes: the wire format, and the client."""
