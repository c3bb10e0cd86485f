"""The commands: each a module of its name, what they share in `command` and `options`. Nothing imports this folder."""

import os

# OpenCV and FFmpeg print on stderr what the commands report in a sentence. They read this when they are loaded, which
# importing a command may do.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
