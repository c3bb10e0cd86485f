"""Machine parts as bodies: of random make, each with the mesh that is drawn and the simple shapes that touch others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from yolact.training.scenes.part_meshes import Mesh, bolt, bracket, gear, nut, prism, spring, washer

Shape = Literal["box", "capsule", "cylinder", "hull"]


@dataclass(frozen=True)
class Collider:
    """A simple shape that touches others in place of the mesh.

    Attributes:
        shape: box, capsule or cylinder of MuJoCo, or ``hull`` of a mesh.
        size: as MuJoCo has it: half extents; radius and half the length along z.
        position: of its centre in the part.
        along_x: turned so that its own z axis lies along x.
        mesh: whose hull it is.
    """

    shape: Shape
    size: tuple[float, ...] = ()
    position: tuple[float, float, float] = (0, 0, 0)
    along_x: bool = False
    mesh: Mesh | None = None


@dataclass(frozen=True)
class Part:
    """A machine part in units of its own size; ``class_id`` indexes `configs.PART_CLASSES`."""

    class_id: int
    mesh: Mesh
    colliders: tuple[Collider, ...]


def make_part(rng: np.random.Generator, class_id: int) -> Part:
    """A part of a class, of random proportions."""
    mesh, colliders = _MAKERS[class_id](rng)
    return Part(class_id, mesh, colliders)


Made = tuple[Mesh, tuple[Collider, ...]]


def _bolt(rng: np.random.Generator) -> Made:
    length, head = rng.uniform(0.9, 1.7), ("hex", "socket")[int(rng.integers(2))]
    height = 0.34 if head == "hex" else 0.5
    shift = length * 0.4  # as in the mesh
    top: Collider = Collider("cylinder", (0.48, height / 2), (0, 0, shift + height / 2))
    shaft = Collider("capsule", (0.27, length / 2 - 0.2), (0, 0, shift - length / 2))
    return bolt(length, head, rng.uniform(0.09, 0.14)), (top, shaft)


def _nut(rng: np.random.Generator) -> Made:
    height = rng.uniform(0.3, 0.5)
    return nut(height, rng.uniform(0.44, 0.58)), (Collider("hull", mesh=prism(6, 0.5, height)),)


def _washer(rng: np.random.Generator) -> Made:
    height = rng.uniform(0.06, 0.12)
    return washer(height, rng.uniform(0.4, 0.62)), (Collider("cylinder", (0.5, height / 2)),)


def _gear(rng: np.random.Generator) -> Made:
    height, hub = rng.uniform(0.12, 0.25), rng.uniform(0, 0.15)
    hole = rng.uniform(0.15, 0.3)
    wheel = Collider("cylinder", (0.48, height / 2))
    collar = Collider("cylinder", (hole / 2 + 0.1, hub / 2 + 0.01), (0, 0, height / 2 + hub / 2))
    return gear(int(rng.integers(12, 29)), height, hole, hub), (wheel, collar)


def _bracket(rng: np.random.Generator) -> Made:
    arms = (rng.uniform(0.7, 1.1), rng.uniform(0.5, 1.0))
    width, thickness = rng.uniform(0.4, 0.7), rng.uniform(0.07, 0.12)
    x, z = -arms[0] * 0.3, -arms[1] * 0.3
    flat = Collider("box", (arms[0] / 2, width / 2, thickness / 2), (x + arms[0] / 2, 0, z + thickness / 2))
    upright = Collider("box", (thickness / 2, width / 2, arms[1] / 2), (x + thickness / 2, 0, z + arms[1] / 2))
    return bracket(arms, width, thickness, rng.uniform(0.16, 0.26)), (flat, upright)


def _spring(rng: np.random.Generator) -> Made:
    radius, length, turns = rng.uniform(0.18, 0.3), rng.uniform(0.9, 1.6), rng.uniform(8, 13)
    wire = length / turns * rng.uniform(0.43, 0.48)  # gaps narrower than the wire
    body = Collider("cylinder", (radius + wire, length / 2), along_x=True)
    return spring(turns, radius, wire, length), (body,)


_MAKERS: tuple[Callable[[np.random.Generator], Made], ...] = (_bolt, _nut, _washer, _gear, _bracket, _spring)
"""In the order of `configs.PART_CLASSES`."""
