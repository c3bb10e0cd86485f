"""Videos, streams and cameras: their frames in time, and annotated videos of them."""
