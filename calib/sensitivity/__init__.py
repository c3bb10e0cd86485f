"""Ranks the parts of a network by their cost in INT8: `yolact-sensitivity`."""
