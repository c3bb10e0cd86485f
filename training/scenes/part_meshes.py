"""Meshes of machine parts with their real features: threads, holes, chamfers, teeth.

Lengths are in units of the part's own size, about 1. Every mesh is closed or made of closed pieces, its triangles
anticlockwise as seen from outside, and its centre of volume near the origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Triangles = NDArray[np.int32]

_AROUND = 48
"""Corners of what is round."""


@dataclass(frozen=True)
class Mesh:
    """A surface of triangles.

    Attributes:
        vertices: (n, 3) float64.
        triangles: (m, 3) int32 indices into the vertices, anticlockwise as seen from outside.
    """

    vertices: Points
    triangles: Triangles

    @property
    def volume(self) -> float:
        """Enclosed volume; what several pieces share is counted several times."""
        a, b, c = (self.vertices[self.triangles[:, corner]] for corner in range(3))
        return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)

    def moved(self, offset: Sequence[float]) -> Mesh:
        """The mesh somewhere else."""
        return Mesh(self.vertices + offset, self.triangles)

    def turned(self, rotation: Points) -> Mesh:
        """The mesh turned by a rotation matrix (3, 3)."""
        return Mesh(self.vertices @ rotation.T, self.triangles)

    def __add__(self, other: Mesh) -> Mesh:
        triangles = np.concatenate([self.triangles, other.triangles + len(self.vertices)])
        return Mesh(np.concatenate([self.vertices, other.vertices]), triangles.astype(np.int32))


def bolt(length: float, head: str, pitch: float) -> Mesh:
    """A bolt along z with a thread on the lower part of its shaft.

    Args:
        length: of the shaft, in diameters of the head.
        head: ``hex``, or ``socket`` for a cylinder with a hexagonal hole.
        pitch: height of a turn of the thread.
    """
    radius, height = 0.5, 0.34 if head == "hex" else 0.5
    shaft = 0.55 * radius
    angles = _angles(_AROUND)
    # The hexagon's corners are cut by a cone, as those of real ones are.
    outer = np.minimum(_polygon(6, angles) * radius, radius * 0.97) if head == "hex" else np.full(_AROUND, radius)
    inner = _polygon(6, angles) * 0.5 * radius if head == "socket" else np.full(_AROUND, 1e-4)
    top = [(1e-4 * np.ones(_AROUND), height * 0.5), (inner, height * 0.5)] if head == "socket" else []
    top += [(inner, height), (outer * 0.86, height), (outer, height - 0.06), (outer, 0.03), (outer * 0.94, 0.0)]
    rings = [_ring(ring, z, angles) for ring, z in top]
    plain, steps = 0.25 * length, max(8, int(0.75 * length / pitch * 6))
    rings += [_ring(np.full(_AROUND, shaft), 0.0, angles), _ring(np.full(_AROUND, shaft), -plain, angles)]
    for z in np.linspace(plain, length - 0.05, steps):
        phase = (z / pitch - angles / (2 * np.pi)) % 1
        rings.append(_ring(shaft * (1 - 0.16 * np.abs(2 * phase - 1)), -z, angles))
    rings += [_ring(np.full(_AROUND, 0.75 * shaft), -length, angles), _ring(np.full(_AROUND, 1e-4), -length, angles)]
    return _outward(_surface(np.stack(rings), closed=False)).moved((0, 0, length * 0.4))


def nut(height: float, hole: float) -> Mesh:
    """A hexagonal nut around z with chamfered corners and a hole with chamfered rims, sizes in diameters."""
    angles = _angles(_AROUND)
    hexagon = _polygon(6, angles) * 0.5
    cut = np.minimum(hexagon, 0.45)
    bore, rim = np.full(_AROUND, hole / 2), np.full(_AROUND, hole / 2 + 0.05)
    half = height / 2
    rings = [(cut, -half), (hexagon, 0.06 - half), (hexagon, half - 0.06), (cut, half)]
    rings += [(rim, half), (bore, half - 0.05)]
    for turn in np.linspace(half - 0.08, 0.08 - half, 9):  # grooves stand for the thread
        rings.append((bore - 0.02 * (1 + np.sin(turn * 60 - angles)), float(turn)))
    rings += [(bore, 0.05 - half), (rim, -half)]
    return _outward(_surface(np.stack([_ring(ring, z, angles) for ring, z in rings]), closed=True))


def washer(height: float, hole: float) -> Mesh:
    """A flat ring around z with a rounded rim, sizes in diameters."""
    angles, half, bevel = _angles(_AROUND), height / 2, height / 4
    profile = [(0.5 - bevel, -half), (0.5, bevel - half), (0.5, half - bevel), (0.5 - bevel, half)]
    profile += [(hole / 2, half), (hole / 2, -half)]
    rings = [_ring(np.full(_AROUND, radius), z, angles) for radius, z in profile]
    return _outward(_surface(np.stack(rings), closed=True))


def gear(teeth: int, height: float, hole: float, hub: float) -> Mesh:
    """A spur gear around z with a bore and, on its upper side, a hub; sizes in diameters.

    Args:
        teeth: their number, with flanks that narrow outwards.
        height: of the toothed wheel.
        hole: diameter of the bore.
        hub: height of the collar around the bore.
    """
    count = teeth * 8
    angles = _angles(count)
    phase = angles * teeth / (2 * np.pi) % 1
    depth = min(0.12, 1.4 / teeth)
    crest = np.clip(1.9 - np.abs(phase - 0.5) * 7.2, 0, 1)  # 1 on the crest, 0 in the gap, flanks between
    rim, half = 0.5 - depth * (1 - crest), height / 2
    collar, bore, web = np.full(count, hole / 2 + 0.1), np.full(count, hole / 2), np.full(count, 0.5 - depth - 0.06)
    rings = [(rim * 0.98, -half), (rim, 0.02 - half), (rim, half - 0.02), (rim * 0.98, half), (web, half)]
    rings += [(web * 0.97, half - 0.25 * height), (collar, half - 0.25 * height)]
    rings += [(collar, half + hub), (bore, half + hub), (bore, -half)]
    return _outward(_surface(np.stack([_ring(ring, z, angles) for ring, z in rings]), closed=True))


def bracket(arms: tuple[float, float], width: float, thickness: float, hole: float) -> Mesh:
    """An angle of two plates with rounded corners and a hole in each: one along x, one along z, sizes in `arms`."""
    flat = _plate(arms[0], width, thickness, hole).moved((arms[0] / 2, 0, thickness / 2))
    upright = _plate(arms[1], width, thickness, hole).turned(np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]]))
    upright = _outward(upright).moved((thickness / 2, 0, arms[1] / 2))
    return (flat + upright).moved((-arms[0] * 0.3, 0, -arms[1] * 0.3))


def spring(turns: float, radius: float, wire: float, length: float) -> Mesh:
    """A coil of round wire along x with closely wound ends; ``radius`` of the coil, ``wire`` its own radius."""
    count, around = int(turns * 20), 10
    along = np.linspace(0, 1, count)
    angle = 2 * np.pi * turns * along
    x = length * (along - 0.12 * np.sin(4 * np.pi * along) / 2 - 0.5)
    line = np.stack([x, radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    tangent = np.gradient(line, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    outward = np.stack([np.zeros(count), np.cos(angle), np.sin(angle)], axis=1)
    across = np.cross(tangent, outward)
    turn = _angles(around)[None, :, None]
    tube = line[:, None] + wire * (np.cos(turn) * outward[:, None] + np.sin(turn) * across[:, None])
    ends = [line[end] + 1e-5 * (tube[end] - line[end]) for end in (0, -1)]
    return _outward(_surface(np.stack([ends[0], *tube, ends[1]]), closed=False))


def prism(sides: int, radius: float, height: float) -> Mesh:
    """A plain prism around z, whose hull stands for a nut where bodies touch."""
    angles = _angles(sides)
    rings = [(np.full(sides, r), z) for r, z in ((1e-4, -0.5), (radius, -0.5), (radius, 0.5), (1e-4, 0.5))]
    return _outward(_surface(np.stack([_ring(ring, z * height, angles) for ring, z in rings]), closed=False))


def _plate(length: float, width: float, thickness: float, hole: float) -> Mesh:
    """A rectangle along x and y around the origin, with rounded corners and a hole."""
    count = 64
    angles = _angles(count) + np.pi / count
    direction = np.stack([np.cos(angles), np.sin(angles)])
    half = np.array([length / 2, width / 2])
    power = 8  # a superellipse: nearly a rectangle
    reach = (np.abs(direction[0] / half[0]) ** power + np.abs(direction[1] / half[1]) ** power) ** (-1 / power)
    bore = np.full(count, hole / 2)
    rings = [(reach, -0.5), (reach, 0.5), (bore, 0.5), (bore, -0.5)]
    return _outward(_surface(np.stack([_ring(ring, z * thickness, angles) for ring, z in rings]), closed=True))


def _angles(count: int) -> Points:
    return np.arange(count) * 2 * np.pi / count


def _polygon(sides: int, angles: Points) -> Points:
    """Radius of a regular polygon whose corners lie on the unit circle, at the given angles."""
    sector = 2 * np.pi / sides
    return np.asarray(np.cos(sector / 2) / np.cos((angles % sector) - sector / 2))


def _ring(radius: Points, height: float, angles: Points) -> Points:
    return np.stack([radius * np.cos(angles), radius * np.sin(angles), np.full(len(angles), height)], axis=1)


def _surface(rings: Points, *, closed: bool) -> Mesh:
    """Triangles between rings (m, n, 3) of points; ``closed`` joins the last ring with the first."""
    count, around = rings.shape[:2]
    index = np.arange(count * around).reshape(count, around)
    if closed:
        index = np.concatenate([index, index[:1]])
    a, b = index[:-1], index[1:]
    c, d = np.roll(b, -1, axis=1), np.roll(a, -1, axis=1)
    halves = [np.stack(corners, axis=-1).reshape(-1, 3) for corners in ((a, b, c), (a, c, d))]
    return Mesh(rings.reshape(-1, 3), np.concatenate(halves).astype(np.int32))


def _outward(mesh: Mesh) -> Mesh:
    """The mesh with its triangles turned outwards where they are not."""
    return mesh if mesh.volume > 0 else Mesh(mesh.vertices, np.ascontiguousarray(mesh.triangles[:, ::-1]))
