"""Parts and ground as one table of triangles with all that shading needs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gfocc_core.synthetic.materials import CATALOGUE, material_index
from gfocc_core.synthetic.parts import (
    BOX,
    CYLINDER,
    Array,
    ObjectModel,
    Part,
    rotation_from_angles,
)
from gfocc_core.synthetic.shots import NO_OBJECT
from gfocc_core.synthetic.solids import ROUND, solid
from gfocc_core.synthetic.textures import first_texture
from gfocc_core.synthetic.vectors import Floats, Ints
from gfocc_core.synthetic.world import Ground

GROUND_TEXTURE = -1
"""Texture of triangles that show the ground's picture; their uv is in its pixels."""
APRON = 600.0
"""Metres by which the ground goes on, at its border's height, beyond its border."""
_SIDES = ((0.12, 8), (0.5, 14), (np.inf, 20))
"""Sides of cylinders with radii below the limits (m)."""
_SPLITS = ((0.2, 1), (np.inf, 2))
"""Splits of the icosahedron for ellipsoids with radii below the limits (m)."""


@dataclass(frozen=True)
class Mesh:
    """Triangles [F]; coordinates are metres in a frame that the maker chose."""

    vertices: Floats
    """[V, 3]"""
    faces: Ints
    """[F, 3]"""
    surface: Floats
    """[F, 3, 5] normal (not of unit length) and uv in texture tiles: at corner 0, and how much
    corners 1 and 2 differ from it."""
    texture: Ints
    """[F] index in textures.all_textures, or GROUND_TEXTURE."""
    tile: Floats
    """[F] metres of a texture tile."""
    color: npt.NDArray[np.uint8]
    """[F, 3] RGB."""
    material: Ints
    """[F] index in MATERIALS."""
    label: npt.NDArray[np.uint8]
    """[F] Occ3D id."""
    object: Ints
    """[F] index into World.objects, or NO_OBJECT."""

    def __len__(self) -> int:
        return len(self.faces)

    def surface_at(self, triangle: Ints, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        """Normals [3, N] and uv [2, N] at barycentric places u, v [N] in triangles [N]."""
        rows = np.take(self.surface.reshape(len(self), 15), triangle, axis=0)
        corner, along_u, along_v = np.ascontiguousarray(rows.T).reshape(3, 5, -1)
        along_u *= u
        along_v *= v
        corner += along_u
        corner += along_v
        return corner[:3], corner[3:]


def concatenate(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh of several, in their order."""
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([m.faces + np.int32(s) for m, s in zip(meshes, starts, strict=True)]),
        np.concatenate([mesh.surface for mesh in meshes]),
        np.concatenate([mesh.texture for mesh in meshes]),
        np.concatenate([mesh.tile for mesh in meshes]),
        np.concatenate([mesh.color for mesh in meshes]),
        np.concatenate([mesh.material for mesh in meshes]),
        np.concatenate([mesh.label for mesh in meshes]),
        np.concatenate([mesh.object for mesh in meshes]),
    )


def mesh_of_ground(ground: Ground, origin: Array) -> Mesh:
    """The height field and its apron, relative to `origin` [3]."""
    rows, columns = ground.heights.shape
    step = ground.height_resolution
    place = [
        np.concatenate([[-APRON], np.arange(count) * step, [(count - 1) * step + APRON]])
        for count in (columns, rows)
    ]
    heights = np.pad(ground.heights.astype(np.float64), 1, "edge")
    x, y = np.meshgrid(*place)
    vertices = np.stack([x + ground.lower[0], y + ground.lower[1], heights], -1) - origin
    slope_y, slope_x = np.gradient(heights, place[1], place[0])
    corner = np.arange(x.size).reshape(x.shape)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]
    faces = np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], 2).reshape(-1, 3)
    surface = np.stack(
        [-slope_x, -slope_y, np.ones_like(x), x / ground.resolution, y / ground.resolution], -1
    ).reshape(-1, 5)
    count = len(faces)
    return Mesh(
        vertices.reshape(-1, 3).astype(np.float32),
        faces.astype(np.int32),
        _differences(surface.astype(np.float32)[faces]),
        np.full(count, GROUND_TEXTURE, np.int32),
        np.full(count, ground.resolution, np.float32),
        np.zeros((count, 3), np.uint8),
        np.full(count, material_index("concrete"), np.int32),
        np.zeros(count, np.uint8),
        np.full(count, NO_OBJECT, np.int32),
    )


def mesh_of_objects(models: Sequence[ObjectModel], poses: Array, indices: Sequence[int]) -> Mesh:
    """All parts of objects at poses [N, 4, 4]; `indices` are theirs in World.objects."""
    groups: dict[tuple[int, int], list[tuple[int, int, Part]]] = defaultdict(list)
    for place, model in enumerate(models):
        for number, part in enumerate(model.parts):
            groups[part.kind, _detail(part)].append((place, number, part))
    labels = np.array([model.label for model in models], np.uint8)
    owners = np.asarray(indices, np.int32)
    return concatenate(
        [
            _mesh_of_like_parts(kind, detail, members, poses, labels, owners)
            for (kind, detail), members in groups.items()
        ]
    )


def _detail(part: Part) -> int:
    if part.kind == BOX:
        return 0
    radius = max(part.half[:2])
    limits = _SIDES if part.kind == CYLINDER else _SPLITS
    return next(detail for limit, detail in limits if radius < limit)


def _mesh_of_like_parts(
    kind: int,
    detail: int,
    members: Sequence[tuple[int, int, Part]],
    poses: Array,
    labels: npt.NDArray[np.uint8],
    owners: Ints,
) -> Mesh:
    shape = solid(kind, detail)
    parts = [part for _, _, part in members]
    place = np.array([index for index, _, _ in members])
    half = np.array([part.half for part in parts], np.float64)
    pose = poses[place]
    rotation = pose[:, :3, :3] @ rotation_from_angles([part.angles for part in parts])
    center = np.einsum("pij,pj->pi", pose[:, :3, :3], [part.center for part in parts])
    center += pose[:, :3, 3]

    vertices = np.einsum("pij,pvj->pvi", rotation, shape.vertices * half[:, None]) + center[:, None]
    scaled = shape.normals[None] / half[:, None, None]
    normals = np.einsum("pij,pfcj->pfci", rotation, scaled)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)

    material, texture, tile = _textures_of(parts, owners[place], shape.level)
    number = np.array([number for _, number, _ in members])
    start = number * 0.618 + owners[place] * 0.377
    uv = _texture_places(half, material, tile, shape.uv, shape.uv_extent, start)
    count, face_count = len(parts), len(shape.faces)
    starts = np.arange(count, dtype=np.int32) * len(shape.vertices)
    per_face = (count, face_count)
    color = np.array([part.color for part in parts], np.uint8)
    return Mesh(
        vertices.reshape(-1, 3).astype(np.float32),
        (shape.faces[None] + starts[:, None, None]).reshape(-1, 3),
        _differences(np.concatenate([normals, uv], -1).reshape(-1, 3, 5).astype(np.float32)),
        texture.ravel(),
        tile.ravel(),
        np.broadcast_to(color[:, None], (*per_face, 3)).reshape(-1, 3),
        material.ravel(),
        np.broadcast_to(labels[place][:, None], per_face).ravel(),
        np.broadcast_to(owners[place][:, None], per_face).ravel(),
    )


def _textures_of(
    parts: Sequence[Part], owners: Ints, level: npt.NDArray[np.bool_]
) -> tuple[Ints, Ints, Floats]:
    """Material, texture and tile size of every face [P, F]."""
    side = np.array([material_index(part.material) for part in parts], np.int32)
    top = np.array([material_index(m.top or m.name) for m in CATALOGUE], np.int32)
    material = np.where(level[None], top[side][:, None], side[:, None])
    first = np.array([first_texture(index) for index in range(len(CATALOGUE))], np.int32)
    variants = np.array([entry.variants for entry in CATALOGUE], np.int32)
    texture = first[material] + owners[:, None] % variants[material]
    tile = np.array([entry.tile for entry in CATALOGUE], np.float32)[material]
    return material, texture.astype(np.int32), tile


def _texture_places(
    half: Array,
    material: Ints,
    tile: Floats,
    unit_uv: Floats,
    uv_extent: Ints,
    start: Array,
) -> Array:
    """uv [P, F, 3, 2] in tiles; repeating textures begin at `start` [P], fitted ones at the edge."""
    radius = half[:, :2].mean(1, keepdims=True)
    extents = np.concatenate([half, radius], 1)
    extent = extents[:, uv_extent]
    metres = unit_uv[None] * extent[:, :, None]
    length = np.where(uv_extent == ROUND, 2 * np.pi * extent, 2 * extent)
    fit = np.array([("metres", "whole_tiles", "one_tile").index(m.fit) for m in CATALOGUE])
    whole = np.maximum(np.round(length / tile[..., None]), 1)
    tiles = np.choose(fit[material][..., None], [length / tile[..., None], whole, 1.0])
    from_edge = np.where(uv_extent == ROUND, 0.0, extent)[:, :, None]
    uv = (metres + from_edge) * (tiles / length)[:, :, None]
    shift = np.stack([start, start * 1.7], -1)[:, None, None]
    return np.asarray(
        uv + np.where((fit[material] == 0)[..., None, None], shift % 1, 0), np.float64
    )


def _differences(corners: Floats) -> Floats:
    """Corner 0, and the others minus it, of values [F, 3, K]."""
    corners[:, 1:] -= corners[:, :1]
    return corners
