"""Meshes of machine parts: closed, oriented, with as many holes as the parts have, of volumes worked out by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from yolact.training.models.configs import PART_CLASSES
from yolact.training.scenes.part_meshes import Mesh, bolt, bracket, gear, nut, prism, spring, washer
from yolact.training.scenes.parts import make_part

MESHES = {
    "hex bolt": (bolt(1.5, "hex", 0.1), 2),
    "socket bolt": (bolt(2.0, "socket", 0.12), 2),
    "nut": (nut(0.4, 0.5), 0),
    "washer": (washer(0.1, 0.5), 0),
    "gear": (gear(16, 0.2, 0.2, 0.1), 0),
    "bracket": (bracket((1.0, 0.8), 0.5, 0.1, 0.2), 0),  # two plates, each with a hole
    "spring": (spring(9, 0.25, 0.045, 1.2), 2),
    "prism": (prism(6, 0.5, 0.4), 2),
}


def edges(mesh: Mesh) -> Counter[tuple[int, int]]:
    return Counter((int(t[i]), int(t[(i + 1) % 3])) for t in mesh.triangles for i in range(3))


@pytest.mark.parametrize("name", MESHES)
def test_surfaces_are_closed_and_turned_outwards(name: str) -> None:
    """Each edge belongs to two triangles that run along it in opposite directions; ends are closed but for a point."""
    mesh, characteristic = MESHES[name]
    directed = edges(mesh)
    assert set(directed.values()) == {1}
    rims = [edge for edge in directed if edge[::-1] not in directed]
    open_rims = _loops(rims)
    corners = mesh.vertices[sorted({corner for edge in rims for corner in edge})]
    for rim in open_rims:
        assert np.ptp(mesh.vertices[rim], axis=0).max() < 1e-3, "what is open is a point"
    assert len(open_rims) in (0, 2) and (len(corners) == 0) == (len(open_rims) == 0)
    count = len(mesh.vertices) - len({tuple(sorted(edge)) for edge in directed}) + len(mesh.triangles)
    assert count + len(open_rims) == characteristic, "Euler: 2 of a body without holes, 0 of a ring"
    assert mesh.volume > 0


def _loops(rims: list[tuple[int, int]]) -> list[list[int]]:
    following, loops = dict(rims), []
    while following:
        start, corner = next(iter(following.items()))
        loop = [start]
        del following[start]
        while corner != start:
            loop.append(corner)
            corner = following.pop(corner)
        loops.append(loop)
    return loops


def test_volumes() -> None:
    assert washer(0.1, 0.5).volume == pytest.approx(np.pi * (0.25 - 0.0625) * 0.1, rel=0.05)
    assert prism(6, 0.5, 0.4).volume == pytest.approx(3 * np.sqrt(3) / 2 * 0.25 * 0.4, rel=0.01)
    assert spring(9, 0.25, 0.045, 1.2).volume == pytest.approx(
        np.pi * 0.045**2 * np.hypot(9 * 2 * np.pi * 0.25, 1.2), rel=0.1
    )
    assert bracket((1.0, 0.8), 0.5, 0.1, 0.2).volume == pytest.approx(0.1 * (0.5 * 1.8 - 2 * np.pi * 0.01), rel=0.05)
    wheel = gear(20, 0.2, 0.2, 0.0).volume
    assert np.pi * (0.43**2 - 0.01) * 0.2 * 0.7 < wheel < np.pi * (0.25 - 0.01) * 0.2


def test_a_thread_winds_and_teeth_are_counted() -> None:
    """Along a bolt's shaft the radius rises and falls once a pitch; around a gear once a tooth."""
    vertices = bolt(2.0, "hex", 0.1).vertices
    line = vertices[(np.abs(np.arctan2(vertices[:, 1], vertices[:, 0])) < 1e-6) & (vertices[:, 2] < 0.31)]
    order = line[np.argsort(-line[:, 2])]
    radius = np.hypot(order[:, 0], order[:, 1])[:-2]
    crests = sum((radius[1:-1] > radius[:-2]) & (radius[1:-1] >= radius[2:]))
    assert crests == pytest.approx(1.45 / 0.1, abs=1.5)
    rim = gear(17, 0.2, 0.2, 0.1).vertices
    top = rim[: 17 * 8]
    far = np.hypot(top[:, 0], top[:, 1]) > 0.47
    assert sum(far & ~np.roll(far, 1)) == 17


def test_parts_of_every_class_differ() -> None:
    rng = np.random.default_rng(0)
    for class_id in range(len(PART_CLASSES)):
        first, second = make_part(rng, class_id), make_part(rng, class_id)
        assert first.class_id == class_id and first.colliders
        assert first.mesh.vertices.shape != second.mesh.vertices.shape or not np.allclose(
            first.mesh.vertices, second.mesh.vertices
        )
        assert np.abs(first.mesh.vertices).max() < 2
