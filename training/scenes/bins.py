"""Pictures and videos of bins of machine parts, with exact masks of what is visible. Each is a function of its seed and
index, on machines with the same MuJoCo and OpenGL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact.runtime.images.arrays import Image
from yolact.training.scenes.bin_model import DRAWN, HIDDEN, TOUCHING, Layout, build_model, draw_layout
from yolact.training.scenes.physics import mujoco
from yolact.training.scenes.scene import Scene

LEAST_SHARE = 0.5
"""Share of a part's outline within the picture below which it is too hidden to be asked for."""

LEAST_AREA = 0.0004
"""Share of the picture below which what is visible of a part is too small to be asked for."""

SPEED = 0.06
"""Of a belt: units a frame; the picture is about 5 high."""

_SILHOUETTE = 4
"""Times that the pictures which outlines are counted in are smaller."""


def draw_bin(seed: int, index: int, size: tuple[int, int]) -> Scene:
    """Bin `index` of the endless series `seed`; ``size`` is (height, width) in pixels, each 64 or more.

    Raises YolactError where the system cannot draw.
    """
    rng = np.random.default_rng([seed, index, 1])
    with _Stage(rng, draw_layout(rng, belt=1), size) as stage:
        return stage.look(rng, 0)


def draw_belt(seed: int, index: int, frames: int, size: tuple[int, int]) -> Iterator[Scene]:
    """Frames of belt `index` of the series `seed`, which carries parts past the camera. Arguments as of `draw_bin`.

    The ids of instances stay the same over all frames.
    """
    rng = np.random.default_rng([seed, index, 2])
    way = SPEED * frames
    with _Stage(rng, draw_layout(rng, belt=1 + way / 6), size) as stage:
        grain = int(rng.integers(2**31))
        for frame in range(frames):
            yield stage.look(np.random.default_rng([grain, frame]), SPEED * frame - way / 2)


class _Stage:
    """A bin whose parts have come to rest, with a camera above it."""

    def __init__(self, rng: np.random.Generator, layout: Layout, size: tuple[int, int]) -> None:
        self._layout, self._size = layout, size
        self._model = build_model(rng, layout, size)
        self._data = mujoco.MjData(self._model)
        self._parts = [self._model.geom(f"part_{number}").id for number in range(len(layout.parts))]
        self._camera = _aim(rng, layout)
        self._middle, self._light = self._camera.lookat[0], self._model.light_pos[:, 0].copy()
        self._tone = rng.uniform(0.85, 1.15), rng.uniform(0, 5)
        _let_fall(self._model, self._data)

    def __enter__(self) -> _Stage:
        self._surface = mujoco.GLContext(self._size[1], self._size[0])
        self._surface.make_current()
        self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._drawing = mujoco.MjvScene(self._model, maxgeom=self._model.ngeom + 16)
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = [group in (0, DRAWN) for group in range(6)]
        return self

    def __exit__(self, *error: object) -> None:
        self._context.free()
        self._surface.free()

    def look(self, rng: np.random.Generator, along: float) -> Scene:
        """The picture with the camera, and the light with it, moved along x."""
        self._camera.lookat[0] = self._middle + along
        self._model.light_pos[:, 0] = self._light + along
        mujoco.mj_forward(self._model, self._data)
        picture = self._draw(self._size, ids=False)
        owners = self._owners(self._size)
        shown = [number for number in range(len(self._parts)) if (owners == number).any()]
        masks = np.stack([owners == number for number in shown]) if shown else np.zeros((0, *self._size), bool)
        areas = masks.sum(axis=(1, 2))
        hidden = [
            area < LEAST_AREA * owners.size or area < LEAST_SHARE * self._outline(number)
            for number, area in zip(shown, areas.tolist(), strict=True)
        ]
        class_ids = np.array([self._layout.parts[number].class_id for number in shown], np.int64)
        return Scene(
            self._photograph(picture, rng), class_ids, masks.astype(np.uint8), np.array(hidden, bool), np.array(shown)
        )

    def _owners(self, size: tuple[int, int]) -> NDArray[np.int64]:
        """(H, W) number of the part that is visible at each pixel, -1 for none."""
        colours = self._draw(size, ids=True).astype(np.int64)
        ids = colours[..., 0] + (colours[..., 1] << 8) + (colours[..., 2] << 16)
        numbers = {geom: number for number, geom in enumerate(self._parts)}
        owner = np.full(self._drawing.ngeom + 2, -1)
        for geom in self._drawing.geoms[: self._drawing.ngeom]:
            if geom.objtype == mujoco.mjtObj.mjOBJ_GEOM and geom.segid >= 0:
                owner[geom.segid + 1] = numbers.get(geom.objid, -1)
        return np.asarray(owner[ids])

    def _outline(self, number: int) -> int:
        """Pixels that a part would have in the picture if nothing hid it."""
        groups = self._model.geom_group
        before = groups.copy()
        groups[groups != TOUCHING] = HIDDEN
        groups[self._parts[number]] = DRAWN
        small = (self._size[0] // _SILHOUETTE, self._size[1] // _SILHOUETTE)
        pixels = int((self._owners(small) == number).sum())
        groups[:] = before
        return pixels * _SILHOUETTE**2

    def _draw(self, size: tuple[int, int], *, ids: bool) -> NDArray[np.uint8]:
        """(H, W, 3) RGB, or colours that stand for ids."""
        mujoco.mjv_updateScene(
            self._model, self._data, self._option, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL, self._drawing
        )
        for flag in (mujoco.mjtRndFlag.mjRND_SEGMENT, mujoco.mjtRndFlag.mjRND_IDCOLOR):
            self._drawing.flags[flag] = ids
        window = mujoco.MjrRect(0, 0, size[1], size[0])
        mujoco.mjr_render(window, self._drawing, self._context)
        pixels = np.empty((*size, 3), np.uint8)
        mujoco.mjr_readPixels(pixels, None, window, self._context)
        return pixels[::-1]

    def _photograph(self, picture: NDArray[np.uint8], rng: np.random.Generator) -> Image:
        """BGR, as a camera would give it: exposure, a soft lens and noise."""
        exposure, noise = self._tone
        image = cv2.GaussianBlur(picture[..., ::-1].astype(np.float32) * np.float32(exposure), (0, 0), 0.6)
        grain = rng.standard_normal(image.shape, np.float32) * np.float32(noise)
        return np.asarray((image + grain).clip(0, 255), np.uint8)


def _let_fall(model: Any, data: Any) -> None:
    """Until nearly all is at rest; the second part slows down what still rolls."""
    for seconds, damping in ((2.5, 0.3), (1.0, 4.0)):
        model.dof_damping[:] = damping * model.dof_M0
        mujoco.mj_step(model, data, nstep=int(seconds / model.opt.timestep))


def _aim(rng: np.random.Generator, layout: Layout) -> Any:
    """A camera above the middle, from steep to half across."""
    camera = mujoco.MjvCamera()
    camera.type = mujoco.mjtCamera.mjCAMERA_FREE
    camera.lookat[:] = [*rng.uniform(-0.2, 0.2, 2), 0.3]
    camera.azimuth = 90 if layout.belt > 1 else rng.uniform(0, 360)
    camera.elevation = -rng.uniform(58, 89)
    camera.distance = layout.half_depth / np.tan(np.radians(22.5)) * rng.uniform(0.95, 1.15)
    return camera
