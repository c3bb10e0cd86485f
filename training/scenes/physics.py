"""MuJoCo, imported so that it draws without a display."""

from __future__ import annotations

import os
import sys
from ctypes.util import find_library

from yolact.runtime.errors import YolactError
from yolact.runtime.packages import PackageMissing
from yolact.runtime.wording import one_line


def _cannot_draw(error: Exception) -> YolactError:
    chosen = os.environ.get("MUJOCO_GL", "its default")
    return YolactError(
        f"MuJoCo cannot draw with MUJOCO_GL={chosen} ({one_line(error)[:200]}); install OSMesa or EGL, on Debian and "
        "Ubuntu with apt-get install libosmesa6 or libegl1, and unset MUJOCO_GL"
    )


if sys.platform == "linux":
    # Read when it is imported. Both draw without a display; newer systems have OSMesa no more.
    os.environ.setdefault("MUJOCO_GL", "osmesa" if find_library("OSMesa") else "egl")

try:
    import mujoco
except ModuleNotFoundError as error:
    raise PackageMissing("drawing bins", error.name or "mujoco", "scenes") from None
except Exception as error:  # PyOpenGL raises what it likes where a library is missing
    raise _cannot_draw(error) from error

__all__ = ["check_drawing", "mujoco"]


def check_drawing() -> None:
    """Raise YolactError where the system has no OpenGL that MuJoCo can draw with."""
    try:
        surface = mujoco.GLContext(64, 64)
        surface.make_current()
        empty = mujoco.MjModel.from_xml_string("<mujoco/>")
        mujoco.MjrContext(empty, mujoco.mjtFontScale.mjFONTSCALE_100.value).free()
        surface.free()
    except Exception as error:
        raise _cannot_draw(error) from error
