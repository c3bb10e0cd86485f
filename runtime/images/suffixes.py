"""Suffixes by which files are taken for images and videos; all in lower case."""

from __future__ import annotations

WRITABLE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
"""Suffixes for `write_image`: formats that every OpenCV build writes."""

IMAGE_SUFFIXES = (*WRITABLE_SUFFIXES, ".jpe", ".jp2", ".avif", ".ppm", ".pgm", ".pbm", ".pnm")
"""Files of a folder with these suffixes are taken for images. A file named outright may have any suffix."""

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
    *(".wmv", ".asf", ".flv", ".ogv", ".3gp", ".mjpeg", ".mjpg", ".gif", ".m3u8", ".mpd"),
)
"""Files with these suffixes are taken for videos."""
