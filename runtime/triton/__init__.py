"""Detections that a Triton server makes: what crosses the wire, and the client."""
