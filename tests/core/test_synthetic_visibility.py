"""Masks of visibility against rays marched through the voxels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from gfocc_core.grid import VoxelGrid
from gfocc_core.synthetic.occupancy import occupancy_of
from gfocc_core.synthetic.renderer import SceneRenderer
from gfocc_core.synthetic.rig import RIGS, ego_from_sensor, intrinsics_of
from gfocc_core.synthetic.shots import LidarSweep
from gfocc_core.synthetic.visibility import DepthView, camera_mask, lidar_mask
from gfocc_core.taxonomy import FREE_ID
from tests.core.synthetic_worlds import street_world

GRID = VoxelGrid((-16.0, -16.0, -1.0), 0.4, (80, 80, 16))
Mask = npt.NDArray[np.bool_]


@pytest.fixture(scope="module")
def scene() -> tuple[list[DepthView], LidarSweep, npt.NDArray[np.uint8]]:
    world, rig = street_world(), RIGS["nuscenes"].at_size(128, 352)
    renderer = SceneRenderer(world)
    views = []
    for camera in rig.cameras:
        time = 1.0 + camera.stamp_ms / 1000
        pose = np.linalg.inv(world.ego.pose_at(1.0)) @ world.ego.pose_at(time)
        shot = renderer.shoot(camera, time)
        views.append(DepthView(shot.depth, intrinsics_of(camera), pose @ ego_from_sensor(camera)))
    return views, renderer.sweep(rig.lidar, 1.0), occupancy_of(world, 1.0, GRID)


def marched(
    origin: npt.NDArray[np.float64],
    directions: npt.NDArray[np.float64],
    lengths: npt.NDArray[np.float64],
) -> Mask:
    """Voxels that rays from `origin` cross before `lengths` (metres of unit directions)."""
    crossed = np.zeros(GRID.shape, bool)
    for distance in np.arange(0.05, 45.0, 0.05):
        points = origin + directions[lengths > distance] * distance
        index = np.floor((points - np.array(GRID.lower)) / GRID.voxel_size).astype(int)
        index = index[((index >= 0) & (index < GRID.shape)).all(1)]
        crossed[tuple(index.T)] = True
    return crossed


def pixel_rays(view: DepthView) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    height, width = view.depth.shape
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack([u, v, np.ones_like(u)], -1).reshape(-1, 3) @ np.linalg.inv(view.intrinsics).T
    scale = np.linalg.norm(rays, axis=1)
    depth = np.where(view.depth > 0, view.depth, np.inf).reshape(-1)
    directions = rays @ view.ego_from_cam[:3, :3].T / scale[:, None]
    return directions, depth * scale


def test_cameras_see_free_what_their_rays_cross(scene: tuple) -> None:  # type: ignore[type-arg]
    views, _, semantics = scene
    free = semantics == FREE_ID
    for view in views:
        directions, lengths = pixel_rays(view)
        crossed = marched(view.ego_from_cam[:3, 3], directions, lengths) & free
        seen = camera_mask([view], semantics, GRID) & free
        assert seen.sum() > 1000
        assert not (seen & ~crossed).any()
        # Rays that pass beside a voxel's centre cross it unseen; that is a border of a voxel.
        assert (crossed & ~seen).sum() < 0.25 * crossed.sum()
        assert (crossed & ~seen & _inner(crossed)).sum() < 0.02 * crossed.sum()


def test_cameras_see_the_surfaces_that_their_pixels_show(scene: tuple) -> None:  # type: ignore[type-arg]
    views, _, semantics = scene
    occupied = semantics != FREE_ID
    hit = np.zeros(GRID.shape, bool)
    for view in views:
        directions, lengths = pixel_rays(view)
        points = (
            view.ego_from_cam[:3, 3]
            + directions * np.where(np.isfinite(lengths), lengths, 1e3)[:, None]
        )
        index = np.floor((points - np.array(GRID.lower)) / GRID.voxel_size).astype(int)
        index = index[((index >= 0) & (index < GRID.shape)).all(1)]
        hit[tuple(index.T)] = True
    seen = camera_mask(views, semantics, GRID) & occupied
    assert (hit & occupied).sum() > 1000
    assert not (hit & occupied & ~seen).any()
    # Beyond what pixels hit, only voxels beside a voxel that is seen free may count.
    beside = _grown(camera_mask(views, semantics, GRID) & ~occupied)
    assert not (seen & ~hit & ~beside).any()


def test_nothing_is_seen_inside_a_house_or_below_the_street(scene: tuple) -> None:  # type: ignore[type-arg]
    views, sweep, semantics = scene
    lidar = ego_from_sensor(RIGS["nuscenes"].lidar)
    for mask in (camera_mask(views, semantics, GRID), lidar_mask(sweep, lidar, semantics, GRID)):
        assert not mask[:, :, 0].any()
        house = semantics == 15
        assert house.sum() > 500
        # A wall that cuts a corner off a voxel shows the voxel behind that corner too.
        assert not (mask & ~_grown(_grown(~house))).any()


def test_a_camera_sees_only_faces_that_look_towards_it() -> None:
    grid = VoxelGrid((0.0, -4.0, -4.0), 0.4, (20, 20, 20))
    semantics = np.full(grid.shape, FREE_ID, np.uint8)
    semantics[10:13] = 15  # a wall three voxels thick, 4 m ahead
    intrinsics = np.array([[20.0, 0, 20.0], [0, 20.0, 20.0], [0, 0, 1]])
    ego_from_cam = np.eye(4)
    ego_from_cam[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    view = DepthView(np.full((40, 40), 4.0, np.float32), intrinsics, ego_from_cam)
    seen = camera_mask([view], semantics, grid)
    assert seen[10, 2:18, 2:18].all()
    assert not seen[11:].any()


def test_a_pixel_of_sky_hides_nothing() -> None:
    grid = VoxelGrid((0.0, -2.0, -2.0), 0.4, (50, 10, 10))
    semantics = np.full(grid.shape, FREE_ID, np.uint8)
    intrinsics = np.array([[10.0, 0, 20.0], [0, 10.0, 20.0], [0, 0, 1]])
    ego_from_cam = np.eye(4)
    ego_from_cam[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    sky = DepthView(np.zeros((40, 40), np.float32), intrinsics, ego_from_cam)
    assert camera_mask([sky], semantics, grid)[10:].all()


def test_the_lidar_sees_what_its_beams_cross(scene: tuple) -> None:  # type: ignore[type-arg]
    _, sweep, semantics = scene
    ego_from_lidar = ego_from_sensor(RIGS["nuscenes"].lidar)
    rings, columns = sweep.ranges.shape
    azimuth = (np.arange(columns) + 0.5) * 2 * np.pi / columns
    elevation = np.repeat(sweep.elevations, columns)
    azimuth = np.tile(azimuth, rings)
    across = np.cos(elevation)
    beams = np.stack([across * np.cos(azimuth), across * np.sin(azimuth), np.sin(elevation)], 1)
    crossed = marched(
        ego_from_lidar[:3, 3], beams @ ego_from_lidar[:3, :3].T, sweep.ranges.reshape(-1)
    )
    free = semantics == FREE_ID
    seen = lidar_mask(sweep, ego_from_lidar, semantics, GRID)
    assert (seen & free).sum() > 5000
    assert (seen & free & ~crossed).sum() < 0.01 * (seen & free).sum()
    assert (crossed & free & ~seen).sum() < 0.25 * (crossed & free).sum()


def _inner(mask: Mask) -> Mask:
    """Voxels whose six neighbours are set too."""
    inner = mask.copy()
    for axis in range(3):
        for step in (-1, 1):
            inner &= np.roll(mask, step, axis)
    return inner


def _grown(mask: Mask) -> Mask:
    """With the six neighbours."""
    grown = mask.copy()
    for axis in range(3):
        for step in (-1, 1):
            grown |= np.roll(mask, step, axis)
    return grown
