"""MuJoCo, imported so that it draws without a display."""

from __future__ import annotations

import os
import sys

from yolact.runtime.errors import YolactError
from yolact.runtime.packages import PackageMissing

if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "osmesa")  # read when it is imported; egl is the other one without a display

try:
    import mujoco
except ImportError as error:
    raise PackageMissing("drawing bins", error.name or "mujoco", "scenes") from None

__all__ = ["mujoco", "open_drawing_surface"]


def open_drawing_surface(width: int, height: int) -> object:
    """An OpenGL context of this size in pixels, made current. Raises YolactError where the system has no OpenGL."""
    try:
        surface = mujoco.GLContext(width, height)
        surface.make_current()
    except Exception as error:  # PyOpenGL raises what it likes where a library is missing
        chosen = os.environ.get("MUJOCO_GL", "its default")
        raise YolactError(
            f"MuJoCo cannot draw with {chosen} ({error}); install OSMesa, on Debian and Ubuntu with "
            "apt-get install libosmesa6, or set MUJOCO_GL=egl where there is a GPU"
        ) from error
    return surface
