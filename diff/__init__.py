"""Compares two engines: layers and heads through Polygraphy, detections as sets, with a report of both."""
