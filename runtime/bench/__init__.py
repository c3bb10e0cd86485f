"""Measures how long each stage from an image file to masks takes, for `yolact-bench`."""
