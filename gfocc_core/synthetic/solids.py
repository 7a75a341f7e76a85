"""Unit solids as triangles; all corners lie on the solid's surface, so the mesh is inside it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import trimesh

from gfocc_core.synthetic.parts import BOX, CYLINDER, ELLIPSOID
from gfocc_core.synthetic.vectors import Floats, Ints

ROUND = 3
"""Extent index of a texture axis that runs around: the mean horizontal radius."""


@dataclass(frozen=True)
class Solid:
    """Triangles of a solid with half extents 1, to be scaled to a part's."""

    vertices: Floats
    """[V, 3]"""
    faces: Ints
    """[F, 3]"""
    normals: Floats
    """[F, 3 corners, 3]; to be divided by the half extents."""
    uv: Floats
    """[F, 3 corners, 2] texture place; times the extent that `uv_extent` names it is metres."""
    uv_extent: Ints
    """[F, 2] index of a half extent (0, 1, 2), or ROUND."""
    level: npt.NDArray[np.bool_]
    """[F] upper and lower faces of a box."""


@cache
def solid(kind: int, detail: int) -> Solid:
    """A box (detail is ignored), a cylinder of `detail` sides, or an icosphere of `detail` splits."""
    if kind == BOX:
        return _box()
    if kind == CYLINDER:
        return _cylinder(detail)
    if kind == ELLIPSOID:
        return _sphere(detail)
    raise ValueError(f"unknown kind of part {kind}")


def _box() -> Solid:
    mesh = trimesh.creation.box(extents=(2, 2, 2))
    return _flat_faced(mesh, np.repeat(mesh.face_normals[:, None], 3, 1))


def _sphere(detail: int) -> Solid:
    mesh = trimesh.creation.icosphere(subdivisions=detail)
    return _flat_faced(mesh, mesh.vertices[mesh.faces])


def _flat_faced(mesh: trimesh.Trimesh, normals: npt.NDArray[np.float64]) -> Solid:
    """Texture every face along the two axes that it faces least; upright where it stands."""
    faces = np.asarray(mesh.faces, np.int32)
    main = np.abs(mesh.face_normals).argmax(1)
    extent = np.array([[1, 2], [0, 2], [0, 1]], np.int32)[main]
    corners = np.asarray(mesh.vertices)[faces]
    uv = np.take_along_axis(corners, np.repeat(extent[:, None], 3, 1), 2)
    return Solid(
        np.asarray(mesh.vertices, np.float32),
        faces,
        np.asarray(normals, np.float32),
        np.asarray(uv, np.float32),
        extent,
        main == 2,
    )


def _cylinder(sides: int) -> Solid:
    angle = np.arange(sides + 1) * (2 * np.pi / sides)
    ring = np.stack([np.cos(angle), np.sin(angle)], -1)
    ring[-1] = ring[0]
    low, high = np.arange(sides + 1), np.arange(sides + 1) + sides + 1
    vertices = np.concatenate(
        [np.c_[ring, np.full(sides + 1, -1.0)], np.c_[ring, np.full(sides + 1, 1.0)]]
    )
    wall = np.concatenate(
        [np.c_[low[:-1], low[1:], high[1:]], np.c_[low[:-1], high[1:], high[:-1]]]
    )
    fan = np.c_[np.zeros(sides - 2, int), np.arange(1, sides - 1), np.arange(2, sides)]
    faces = np.concatenate([wall, fan + sides + 1, fan[:, ::-1]]).astype(np.int32)
    corners = vertices[faces]
    around = np.r_[angle, angle]
    uv = corners[..., :2].copy()
    uv[: 2 * sides, :, 0] = around[faces[: 2 * sides]]
    uv[: 2 * sides, :, 1] = corners[: 2 * sides, :, 2]
    normals = np.zeros_like(corners)
    normals[: 2 * sides, :, :2] = corners[: 2 * sides, :, :2]
    normals[2 * sides :, :, 2] = corners[2 * sides :, :, 2]
    extent = np.tile(np.array([[0, 1]], np.int32), (len(faces), 1))
    extent[: 2 * sides] = ROUND, 2
    return Solid(
        vertices.astype(np.float32),
        faces,
        normals.astype(np.float32),
        uv.astype(np.float32),
        extent,
        np.zeros(len(faces), bool),
    )
