"""Painted voxels lie where a camera sees them, the near ones over the far ones."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gfocc_core.grid import VoxelGrid
from gfocc_core.report.style import PALETTE
from gfocc_core.report.voxel_faces import VoxelFaces, box_faces, faces_towards
from gfocc_core.report.voxel_painter import Pinhole, lay_over, paint_faces, smooth
from gfocc_core.taxonomy import FREE_ID

GRID = VoxelGrid(lower=(0.0, -4.0, -1.0), voxel_size=1.0, shape=(10, 8, 4))
FRONT = Pinhole.looking_at((-2.0, 0.5, 0.5), (8.0, 0.5, 0.5), (80, 120), 42.0)


def labels_with(*voxels: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    labels = np.full(GRID.shape, FREE_ID, np.uint8)
    for x, y, z, label in voxels:
        labels[x, y, z] = label
    return labels


def is_hue(pixel: NDArray[np.uint8], label: int) -> bool:
    """Whether a pixel has a class's colour up to shading."""
    color = PALETTE[label].astype(float)
    cosine = pixel @ color / max(1e-9, np.linalg.norm(pixel) * np.linalg.norm(color))
    return bool(cosine > 0.995)


def paint(labels: NDArray[np.uint8], camera: Pinhole = FRONT) -> NDArray[np.uint8]:
    return paint_faces(faces_towards(camera.eye, labels, GRID), camera)


def test_a_voxel_is_painted_where_its_corners_project() -> None:
    painted = paint(labels_with((4, 4, 1, 4)))
    rows, columns = np.nonzero(painted[..., 3])
    # Its front is 6 m away and 1 m wide, centred on the optical axis.
    half = 0.5 * FRONT.intrinsics[0, 0] / 6
    assert columns.min() == pytest.approx(60 - half, abs=1)
    assert columns.max() == pytest.approx(60 + half, abs=1)
    assert rows.min() == pytest.approx(40 - half, abs=1)
    assert rows.max() == pytest.approx(40 + half, abs=1)
    assert is_hue(painted[40, 60, :3].astype(float), 4)


def test_left_of_the_vehicle_is_left_in_the_picture() -> None:
    painted = paint(labels_with((4, 7, 1, 4)))
    assert np.nonzero(painted[..., 3])[1].max() < 60


def test_a_near_voxel_hides_a_far_one() -> None:
    painted = paint(labels_with((2, 4, 1, 4), (7, 4, 1, 16)))
    assert is_hue(painted[40, 60, :3].astype(float), 4)
    assert not any(is_hue(pixel.astype(float), 16) for pixel in painted[painted[..., 3] > 0, :3])


def test_only_bare_faces_towards_the_eye_are_made() -> None:
    alone = faces_towards(FRONT.eye, labels_with((4, 4, 1, 4)), GRID)
    assert len(alone) == 1
    oblique = np.array([-2.0, 4.0, 3.0])
    assert len(faces_towards(oblique, labels_with((4, 4, 1, 4)), GRID)) == 3
    pair = faces_towards(oblique, labels_with((4, 4, 1, 4), (4, 5, 1, 4)), GRID)
    assert len(pair) == 5


def test_what_lies_behind_or_beyond_is_left_out() -> None:
    behind = Pinhole.looking_at((5.0, 0.5, 0.5), (15.0, 0.5, 0.5), (80, 120), 42.0)
    assert not paint(labels_with((1, 4, 1, 4)), behind).any()
    faces = faces_towards(FRONT.eye, labels_with((7, 4, 1, 4)), GRID)
    assert paint_faces(faces, FRONT, farthest=20.0).any()
    assert not paint_faces(faces, FRONT, farthest=5.0).any()


def test_unseen_voxels_fade_and_corners_are_shaded() -> None:
    labels = labels_with((4, 4, 0, 4))
    eye = np.array([4.5, 0.5, 30.0])
    seen = faces_towards(eye, labels, GRID, np.ones(GRID.shape, bool)).colors
    unseen = faces_towards(eye, labels, GRID, np.zeros(GRID.shape, bool)).colors
    assert np.abs(seen.astype(int) - unseen).max() > 60
    beside_a_wall = labels_with((4, 4, 0, 4), (4, 5, 0, 4), (4, 5, 1, 4))
    top = faces_towards(eye, beside_a_wall, GRID)
    shaded = top.colors[np.argmin(top.corners[:, :, 2].max(1))]
    assert shaded.sum() < seen.sum()


def test_a_box_hides_what_is_in_it() -> None:
    voxels = faces_towards(FRONT.eye, labels_with((4, 4, 1, 4)), GRID)
    box = box_faces(FRONT.eye, (3.5, 0.0, 0.0), (5.5, 1.0, 1.0), (250, 250, 250))
    painted = paint_faces(VoxelFaces.joined([voxels, box]), FRONT)
    assert painted[40, 60, 0] == painted[40, 60, 1] == painted[40, 60, 2]


def test_smoothing_keeps_colours_and_laying_over_mixes_them() -> None:
    painted = np.zeros((4, 4, 4), np.uint8)
    painted[:, :3] = (200, 100, 50, 255)
    small = smooth(painted, (2, 2))
    assert small[0, 0].tolist() == [200, 100, 50, 255]
    assert small[0, 1, :3].tolist() == [200, 100, 50]
    assert small[0, 1, 3] == 127
    ground = np.full((2, 2, 3), 100, np.uint8)
    assert lay_over(ground, small, 0.5)[0, 0].tolist() == [150, 100, 75]
    assert lay_over(ground, np.zeros((2, 2, 4), np.uint8)).tolist() == ground.tolist()
