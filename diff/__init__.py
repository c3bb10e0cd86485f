"""Where two engines differ: layers and heads through Polygraphy, detections as sets, and a report of both."""
