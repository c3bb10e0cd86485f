"""A bin of machine parts as MuJoCo has it: bodies, floor, walls, materials and lights, all drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact.training.models.configs import PART_CLASSES
from yolact.training.scenes.part_meshes import Mesh
from yolact.training.scenes.parts import Part, make_part
from yolact.training.scenes.physics import mujoco

MOST_PARTS = 12
"""Within what is looked at; such a bin is heaped, as a part is nearly a third of it."""

_SIZES = (0.75, 0.9, 1.0, 1.0, 1.05, 1.0)
"""Times that parts are larger, in the order of `configs.PART_CLASSES`, so that none is much larger than others."""

DRAWN, TOUCHING, HIDDEN = 1, 3, 5
"""Groups of geoms: what is drawn, what only touches, and parts that are left out of a drawing."""

_METALS = (
    (0.78, 0.78, 0.8),
    (0.62, 0.63, 0.66),
    (0.85, 0.7, 0.38),
    (0.8, 0.55, 0.42),
    (0.34, 0.34, 0.37),
    (0.72, 0.7, 0.6),
)
"""Steel, iron, brass, copper, black oxide and yellow zinc, RGB."""


@dataclass(frozen=True)
class Layout:
    """What is decided before anything is built, lengths in units of about one part.

    Attributes:
        half_width, half_depth: of the floor that is looked at.
        wall: height of the walls; 0 for none.
        parts: what lies in it.
        sizes: of the parts.
        belt: the floor is a belt so many times as long as what is looked at; 1 for a bin.
    """

    half_width: float
    half_depth: float
    wall: float
    parts: tuple[Part, ...]
    sizes: tuple[float, ...]
    belt: float


def draw_layout(rng: np.random.Generator, belt: float) -> Layout:
    """From a few parts to a heap, often with some classes more frequent than others."""
    scale = rng.uniform(1.25, 1.55)
    count = int(round(np.exp(rng.uniform(np.log(3), np.log(MOST_PARTS)))) * (belt if belt > 1 else 1))
    weights = rng.dirichlet(np.full(len(PART_CLASSES), 2.0))
    classes = rng.choice(len(PART_CLASSES), count, p=weights)
    makes = {c: [make_part(rng, c) for _ in range(2)] for c in sorted(set(classes.tolist()))}
    parts = tuple(makes[c][int(rng.integers(2))] for c in classes.tolist())
    sizes = tuple(float(scale * _SIZES[part.class_id] * rng.uniform(0.85, 1.15)) for part in parts)
    half = 2.2 + 0.015 * min(count, MOST_PARTS)
    wall = 0.0 if belt > 1 or rng.integers(3) == 0 else float(rng.uniform(0.6, 1.4))
    return Layout(half * 4 / 3, half, wall, parts, sizes, belt)


def build_model(rng: np.random.Generator, layout: Layout, size: tuple[int, int]) -> Any:
    """The compiled model, an `mujoco.MjModel`, for pictures of at most ``size`` (height, width) in pixels.

    Geom ``part_I`` is the drawn mesh of part I.
    """
    spec = mujoco.MjSpec()
    spec.option.timestep = 0.006
    spec.option.iterations = 12
    spec.option.ls_iterations = 6
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.stat.extent = layout.half_width * 1.5
    spec.stat.center = [0, 0, 0]
    spec.visual.map.shadowclip = 1
    spec.visual.map.zfar = 20
    spec.visual.map.znear = 0.02
    _visual(spec, size)
    _floor(spec, rng, layout)
    _lights(spec, rng, layout)
    materials = [_material(spec, rng, index) for index in range(5)]
    for index, (part, part_size) in enumerate(zip(layout.parts, layout.sizes, strict=True)):
        material = materials[int(rng.integers(len(materials)))]
        _add_part(spec, rng, layout, index, part, part_size, material)
    return spec.compile()


def _visual(spec: Any, size: tuple[int, int]) -> None:
    spec.visual.quality.shadowsize = 2048
    spec.visual.quality.offsamples = 4
    spec.visual.headlight.ambient = [0.33] * 3
    spec.visual.headlight.diffuse = [0.1] * 3
    spec.visual.headlight.specular = [0.1] * 3
    spec.visual.global_.offheight, spec.visual.global_.offwidth = size


def _floor(spec: Any, rng: np.random.Generator, layout: Layout) -> None:
    surface = _textured(spec, "floor", _ground(rng), cube=False)
    ground = spec.add_material(name="floor", textures=["", surface], shininess=0.2, specular=float(rng.uniform(0, 0.4)))
    ground.texrepeat = [float(rng.uniform(0.3, 1))] * 2
    ground.texuniform = True
    world = spec.worldbody
    reach = layout.half_width * layout.belt
    size = [reach * 4, layout.half_depth * 6, 1]
    world.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=size, material="floor", friction=[0.9, 0.02, 0.002])
    colour = [*_paint(rng), 1.0]
    for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        size = [0.06 if x else reach, 0.06 if y else layout.half_depth, 5.0]  # what falls stays inside
        position = [x * reach, y * layout.half_depth, size[2]]
        world.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=size, pos=position, group=TOUCHING)
        if layout.wall:
            size[2] = layout.wall / 2
            world.add_geom(
                type=mujoco.mjtGeom.mjGEOM_BOX,
                size=size,
                pos=[*position[:2], size[2]],
                rgba=colour,
                group=DRAWN,
                contype=0,
                conaffinity=0,
            )


def _lights(spec: Any, rng: np.random.Generator, layout: Layout) -> None:
    """One light with shadows and up to two without."""
    for index in range(int(rng.integers(1, 4))):
        turn, lean = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.9)
        position = np.array([np.cos(turn) * lean, np.sin(turn) * lean, 1]) * 12
        strength = rng.uniform(0.45, 0.8) if index == 0 else rng.uniform(0.05, 0.35)
        tint = 1 + rng.uniform(-0.1, 0.1, 3)
        spec.worldbody.add_light(
            pos=position,
            dir=-position,
            type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
            castshadow=index == 0,
            diffuse=(strength * tint).clip(0, 1),
            specular=(strength * tint * 0.7).clip(0, 1),
            ambient=[0, 0, 0],
        )


def _material(spec: Any, rng: np.random.Generator, index: int) -> str:
    """A metal, bright or dull, or a painted surface, with streaks or stains."""
    metal = rng.uniform() < 0.8
    colour = np.array(_METALS[int(rng.integers(len(_METALS)))] if metal else _paint(rng))
    colour = (colour * rng.uniform(0.85, 1.1)).clip(0, 1)
    name = f"surface_{index}"
    texture = _textured(spec, name, _stained(rng, colour), cube=True)
    spec.add_material(
        name=name,
        textures=["", texture],
        specular=float(rng.uniform(0.5, 1) if metal else rng.uniform(0.1, 0.5)),
        shininess=float(rng.uniform(0.3, 0.9)),
    )
    return name


def _add_part(
    spec: Any, rng: np.random.Generator, layout: Layout, index: int, part: Part, size: float, material: str
) -> None:
    """A body above the floor: parts fall from layers, a few at a time."""
    mesh = f"mesh_{index}"
    _add_mesh(spec, mesh, part.mesh, size)
    share = index / max(1, len(layout.parts))
    room = np.array([layout.half_width * layout.belt - 0.9, layout.half_depth - 0.9])
    across = rng.uniform(-room, room) if layout.belt > 1 else rng.normal(0, 0.45, 2).clip(-1, 1) * room
    height = 1 + (len(layout.parts) / layout.belt) * 0.12 * (share if layout.belt == 1 else rng.uniform())
    quaternion = rng.normal(size=4)
    body = spec.worldbody.add_body(pos=[*across, height], quat=quaternion / np.linalg.norm(quaternion))
    body.add_freejoint()
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_MESH,
        meshname=mesh,
        material=material,
        name=f"part_{index}",
        group=DRAWN,
        contype=0,
        conaffinity=0,
        mass=0,
    )
    for number, collider in enumerate(part.colliders):
        kind = getattr(mujoco.mjtGeom, "mjGEOM_" + {"hull": "MESH"}.get(collider.shape, collider.shape.upper()))
        values: dict[str, Any] = {"type": kind, "pos": np.array(collider.position) * size, "group": TOUCHING}
        if collider.mesh is not None:
            _add_mesh(spec, f"{mesh}_{number}", collider.mesh, size)
            values["meshname"] = f"{mesh}_{number}"
        else:
            values["size"] = [*(side * size for side in collider.size), 0, 0][:3]
        if collider.along_x:
            values["quat"] = [np.sqrt(0.5), 0, np.sqrt(0.5), 0]
        body.add_geom(density=400, condim=4, friction=[0.5, 0.02, 0.002], **values)


def _add_mesh(spec: Any, name: str, mesh: Mesh, size: float) -> None:
    added = spec.add_mesh(name=name)
    added.uservert = (mesh.vertices * size).astype(np.float32).ravel()
    added.userface = mesh.triangles.ravel()
    added.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL


def _textured(spec: Any, name: str, pixels: NDArray[np.uint8], *, cube: bool) -> str:
    kinds = mujoco.mjtTexture
    texture = spec.add_texture(name=name, type=kinds.mjTEXTURE_CUBE if cube else kinds.mjTEXTURE_2D, nchannel=3)
    faces = np.concatenate([np.roll(pixels, turn * 17, axis=turn % 2) for turn in range(6)]) if cube else pixels
    texture.height, texture.width = faces.shape[:2]
    texture.data = np.ascontiguousarray(faces).tobytes()
    return name


def _paint(rng: np.random.Generator) -> tuple[float, float, float]:
    hsv = np.array([[[rng.uniform(0, 360), rng.uniform(0.1, 0.85), rng.uniform(0.2, 0.9)]]], np.float32)
    red, green, blue = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].tolist()
    return red, green, blue


def _noise(rng: np.random.Generator, size: int, cells: tuple[int, int]) -> NDArray[np.float32]:
    coarse = rng.uniform(-1, 1, cells).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC))


def _stained(rng: np.random.Generator, colour: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Streaks of brushing, stains and a few spots on a plain colour: (64, 64, 3) RGB."""
    streaks = _noise(rng, 64, (64, 4)) * rng.uniform(0, 0.12)
    stains = _noise(rng, 64, (5, 5)) * rng.uniform(0, 0.2)
    shade = 1 + (streaks + stains)[..., None]
    return np.asarray((colour * shade * 255).clip(0, 255), np.uint8)


def _ground(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Floor: plain, cloudy, grained or tiled: (256, 256, 3) RGB."""
    colour = np.array(_paint(rng))
    colour = colour * 0.3 + colour.mean() * 0.5  # neither bright nor of a strong colour
    shade = 1 + 0.25 * rng.uniform() * _noise(rng, 256, (8, 8)) + 0.15 * rng.uniform() * _noise(rng, 256, (128, 128))
    kind = int(rng.integers(4))
    if kind == 0:
        shade += 0.2 * rng.uniform() * _noise(rng, 256, (256, 6))
    elif kind == 1:
        grid = np.arange(256) // 32 % 2
        shade += 0.12 * (grid[:, None] ^ grid[None])
    return np.asarray((colour * shade[..., None] * 255).clip(0, 255), np.uint8)
