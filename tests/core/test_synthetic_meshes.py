"""Meshes stay within the solids they stand for; textures lie on them as they should."""

from __future__ import annotations

import numpy as np
import pytest

from gfocc_core.synthetic.materials import MATERIALS, material_index
from gfocc_core.synthetic.meshes import Mesh, mesh_of_objects
from gfocc_core.synthetic.motion import Motions
from gfocc_core.synthetic.parts import (
    BOX,
    CYLINDER,
    ELLIPSOID,
    ObjectModel,
    Part,
    pose_from,
    rotation_from_angles,
)
from gfocc_core.synthetic.pyramids import GroundPyramid, TextureAtlas
from gfocc_core.synthetic.textures import all_textures
from gfocc_core.synthetic.world import Trajectory

SIZES = ((0.05, 0.05, 1.5), (0.35, 0.3, 0.1), (1.8, 1.5, 1.6), (6.0, 4.0, 9.0))


def mesh_of(part: Part, yaw: float = 0.0) -> Mesh:
    pose = pose_from([3.0, -2.0, 0.5], [yaw, 0.0, 0.0])
    return mesh_of_objects([ObjectModel(15, (part,))], pose[None], [4])


def outside(part: Part, local: np.ndarray) -> np.ndarray:
    """How far (m, at least) points [N, 3] in the part's frame lie outside the solid."""
    half = np.array(part.half)
    if part.kind == BOX:
        return (np.abs(local) - half).max(1)
    scaled = local / half
    if part.kind == CYLINDER:
        radial = (np.linalg.norm(scaled[:, :2], axis=1) - 1) * half[:2].min()
        return np.maximum(radial, np.abs(local[:, 2]) - half[2])
    return (np.linalg.norm(scaled, axis=1) - 1) * half.min()


@pytest.mark.parametrize("kind", [BOX, CYLINDER, ELLIPSOID])
@pytest.mark.parametrize("half", SIZES)
def test_meshes_lie_inside_their_solid_and_touch_it(
    kind: int, half: tuple[float, float, float]
) -> None:
    part = Part(kind, (0.2, 0.1, 2.0), half, (9, 9, 9), angles=(0.7, 0.3, -0.5))
    mesh = mesh_of(part, yaw=1.1)
    part_pose = np.eye(4)
    part_pose[:3, :3], part_pose[:3, 3] = rotation_from_angles(part.angles), part.center
    to_part = np.linalg.inv(pose_from([3.0, -2.0, 0.5], [1.1, 0.0, 0.0]) @ part_pose)
    vertices = mesh.vertices @ to_part[:3, :3].T + to_part[:3, 3]
    np.testing.assert_allclose(outside(part, vertices), 0, atol=1e-5)

    weights = np.random.default_rng(0).dirichlet(np.ones(3), (20, len(mesh)))
    points = np.einsum("sfc,fci->sfi", weights, vertices[mesh.faces]).reshape(-1, 3)
    assert outside(part, points).max() < 1e-5
    assert outside(part, points).min() > -0.1 * max(half[:2]), "facets are fine enough"


@pytest.mark.parametrize("kind", [BOX, CYLINDER, ELLIPSOID])
def test_normals_point_out_of_the_solid_as_its_triangles_do(kind: int) -> None:
    mesh = mesh_of(Part(kind, (0, 0, 2), (1.0, 0.7, 1.4), (9, 9, 9), angles=(0.2, 0.1, 0.4)))
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces], 1, 0)
    flat = np.cross(b - a, c - a)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    third = np.full(len(mesh), 1 / 3, np.float32)
    normal, _ = mesh.surface_at(np.arange(len(mesh), dtype=np.int32), third, third)
    normal /= np.linalg.norm(normal, axis=0)
    assert np.einsum("fi,if->f", flat, normal).min() > 0.9


def test_closed_meshes_have_no_holes() -> None:
    for kind in (BOX, CYLINDER, ELLIPSOID):
        mesh = mesh_of(Part(kind, (0, 0, 2), (0.3, 0.3, 1.0), (9, 9, 9)))
        a, b, c = np.moveaxis(mesh.vertices[mesh.faces].astype(np.float64), 1, 0)
        assert np.abs(np.cross(b - a, c - a).sum(0)).max() < 1e-4
        assert np.einsum("fi,fi->", a - a.mean(0), np.cross(b - a, c - a)) > 0


def test_facades_have_whole_windows_and_roofs_have_none() -> None:
    mesh = mesh_of(Part(BOX, (0, 0, 5), (7.1, 4.0, 5.0), (9, 9, 9), "facade"))
    wall = mesh.material == material_index("facade")
    assert wall.sum() == 8
    corners = mesh.surface[:, :, 3:].copy()
    corners[:, 1:] += corners[:, :1]
    np.testing.assert_allclose(corners[wall], np.round(corners[wall]), atol=1e-4)
    assert (np.ptp(corners[wall][..., 1], axis=1) == 3).all(), "10 m are three storeys of 3.2 m"


def test_textures_repeat_by_the_metre() -> None:
    mesh = mesh_of(Part(BOX, (0, 0, 1), (2.4, 1.0, 1.0), (9, 9, 9), "brick"))
    front = np.flatnonzero(np.abs(mesh.surface[:, 0, 1]) > 0.9)
    corners = mesh.surface[front, :, 3:].copy()
    corners[:, 1:] += corners[:, :1]
    assert np.ptp(corners[..., 0]) == pytest.approx(4.8 / 1.44, rel=1e-4)


def test_every_material_has_a_texture_and_unknown_ones_are_named() -> None:
    assert len(MATERIALS) == len(set(MATERIALS)) == 14
    assert all(np.isfinite(texture).all() for texture in all_textures())
    with pytest.raises(ValueError, match="unknown material 'lava'"):
        material_index("lava")


def test_textures_wrap_around_and_fade_to_their_mean_far_away() -> None:
    atlas = TextureAtlas()
    rng = np.random.default_rng(1)
    u, v = rng.uniform(-3, 3, (2, 500)).astype(np.float32)
    brick = np.full(500, 1, np.int32)
    near = np.full(500, 1e-3, np.float32)
    here, there = atlas.sample(brick, u, v, near), atlas.sample(brick, u + 2, v - 1, near)
    np.testing.assert_allclose(here, there, atol=0.02)
    far = atlas.sample(brick, u, v, near * 1e4)
    assert far.std(1)[:3].max() < 0.25 * here.std(1)[:3].min()
    np.testing.assert_allclose(far.mean(1), all_textures()[1].mean((0, 1)), atol=0.05)


def test_the_ground_picture_is_exact_up_close_and_its_mean_far_away() -> None:
    rng = np.random.default_rng(2)
    picture = rng.integers(0, 255, (96, 130, 3), dtype=np.uint8)
    pyramid = GroundPyramid(picture)
    column, row = rng.integers(0, 130, 200), rng.integers(0, 96, 200)
    x, y = (column + 0.5).astype(np.float32), (row + 0.5).astype(np.float32)
    none = np.zeros(200, np.float32)
    near = pyramid.sample(x, y, (none, none), none - 1)
    np.testing.assert_allclose(near.T, picture[row, column], atol=1.01)
    far = pyramid.sample(x, y, (none, none), none + 6)
    assert far.std() < 0.15 * near.std()


def test_many_trajectories_at_once_are_where_each_is() -> None:
    rng = np.random.default_rng(3)
    paths = [
        Trajectory(
            np.sort(rng.uniform(0, 9, count)),
            rng.normal(0, 30, (count, 3)),
            rng.normal(0, 1, (count, 3)),
        )
        for count in (1, 2, 7, 40)
    ]
    motions = Motions(paths)
    for time in (-1.0, 0.0, *paths[2].times, 4.321, 9.0, 12.0):
        expected = np.stack([path.pose_at(float(time)) for path in paths])
        np.testing.assert_allclose(motions.poses_at(float(time)), expected, atol=1e-9)
