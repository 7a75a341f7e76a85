"""What of the voxel grid the cameras and the lidar see: the masks that go with the truth.

A free voxel is seen where the line of sight to its centre is free. An occupied one is seen where
one of its faces that look towards the sensor borders on a voxel that this sensor sees free, or
where something that the sensor hit lies in it. Frame: the reference ego.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gfocc_core.grid import VoxelGrid
from gfocc_core.synthetic.parts import Array
from gfocc_core.synthetic.shots import LidarSweep
from gfocc_core.taxonomy import FREE_ID

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.signedinteger[Any]]

_FINENESS = 4096
"""Steps per radian in which elevations are told apart: a hundredth of a ring's distance."""
_BLOCK = 4096
"""Columns of voxels looked at together, to stay in the cache."""


@dataclass(frozen=True)
class DepthView:
    """One camera's depth map and where it was taken."""

    depth: Floats
    """[H, W] metres along the optical axis; 0 where nothing was hit."""
    intrinsics: Array
    """[3, 3] pixels; the first pixel spans 0 to 1."""
    ego_from_cam: Array
    """[4, 4] in the reference ego frame (compose_ego_from_cam)."""


def camera_mask(views: Iterable[DepthView], semantics: Labels, grid: VoxelGrid) -> Bools:
    """bool [X, Y, Z]: some camera sees the voxel.

    Args:
        views: The keyframe's cameras.
        semantics: Occ3D ids uint8 [X, Y, Z] of the same keyframe.
        grid: Their grid.
    """
    free = semantics == FREE_ID
    passed, met = np.zeros(grid.shape, bool), np.zeros(grid.shape, bool)
    for view in views:
        reached = _free_before_depth(view, grid) & free
        passed |= reached
        _meet_faces(reached, view.ego_from_cam[:3, 3], grid, met)
        _meet_hits(_camera_hits(view), grid, met)
    return np.where(free, passed, met)


def lidar_mask(
    sweep: LidarSweep, ego_from_lidar: Array, semantics: Labels, grid: VoxelGrid
) -> Bools:
    """bool [X, Y, Z]: some beam crossed the voxel or ended in it. Arguments as camera_mask."""
    free = semantics == FREE_ID
    passed = _free_before_range(sweep, ego_from_lidar, grid) & free
    met = np.zeros(grid.shape, bool)
    _meet_faces(passed, ego_from_lidar[:3, 3], grid, met)
    _meet_hits(_lidar_hits(sweep, ego_from_lidar), grid, met)
    return np.where(free, passed, met)


def _free_before_depth(view: DepthView, grid: VoxelGrid) -> Bools:
    """Whose centre projects into the image and lies nearer than what the pixel shows."""
    height, width = view.depth.shape
    cam_from_ego = np.linalg.inv(view.ego_from_cam)
    pixels_from_ego = view.intrinsics @ cam_from_ego[:3]
    u, v, w = (_linear(row, grid) for row in pixels_from_ego)
    columns = np.flatnonzero(_columns_in_view(u, v, w, height, width))
    result = np.zeros((grid.shape[0] * grid.shape[1], grid.shape[2]), bool)
    depth = w.of_columns(columns)
    ahead = np.where(depth > 1e-2, 1 / np.maximum(depth, np.float32(1e-2)), np.float32(-1))
    column = u.of_columns(columns) * ahead
    row = v.of_columns(columns) * ahead
    inside = (ahead > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    place = row[inside].astype(np.int32) * width + column[inside].astype(np.int32)
    shown = np.where(view.depth > 0, view.depth, np.float32(np.inf)).reshape(-1)
    inside[inside] = depth[inside] < shown[place]
    result[columns] = inside
    return result.reshape(grid.shape)


@dataclass(frozen=True)
class _Linear:
    """A linear function of the voxels' centres: base of each column [X * Y] plus step by level [Z]."""

    base: Floats
    levels: Floats

    def of_columns(self, columns: Integers) -> Floats:
        """Values [len(columns), Z]."""
        return self.base[columns, None] + self.levels

    def ends(self) -> tuple[Floats, Floats]:
        """Values at the lowest and highest centre of every column."""
        return self.base + self.levels[0], self.base + self.levels[-1]


def _linear(row: Array, grid: VoxelGrid) -> _Linear:
    x, y, z = (
        (low + (np.arange(count) + 0.5) * grid.voxel_size) * factor
        for low, count, factor in zip(grid.lower, grid.shape, row[:3], strict=True)
    )
    base = (x[:, None] + y[None, :] + row[3]).reshape(-1)
    return _Linear(base.astype(np.float32), z.astype(np.float32))


def _columns_in_view(u: _Linear, v: _Linear, w: _Linear, height: int, width: int) -> Bools:
    """Columns of voxels that no side of the viewing frustum shuts out whole."""
    inside = np.ones(u.base.size, bool)
    ends = list(zip(u.ends(), v.ends(), w.ends(), strict=True))
    for side in (
        lambda a, b, c: c > 0,
        lambda a, b, c: a >= 0,
        lambda a, b, c: a < width * c,
        lambda a, b, c: b >= 0,
        lambda a, b, c: b < height * c,
    ):
        inside &= side(*ends[0]) | side(*ends[1])
    return inside


def _free_before_range(sweep: LidarSweep, ego_from_lidar: Array, grid: VoxelGrid) -> Bools:
    """Whose middle a beam of the nearest ring and column crosses before it ends."""
    x, y, z = (_linear(row, grid) for row in np.linalg.inv(ego_from_lidar)[:3])
    nearest = _nearest_rings(sweep.elevations)
    slopes = np.tan(sweep.elevations).astype(np.float32)
    count = grid.shape[0] * grid.shape[1]
    result = np.zeros((count, grid.shape[2]), bool)
    for start in range(0, count, _BLOCK):
        columns = np.arange(start, min(start + _BLOCK, count))
        place = x.of_columns(columns), y.of_columns(columns), z.of_columns(columns)
        result[columns] = _crossed_by_beams(sweep.ranges, nearest, slopes, place, grid.voxel_size)
    return result.reshape(grid.shape)


def _crossed_by_beams(
    ranges: Floats,
    nearest: npt.NDArray[np.int32],
    slopes: Floats,
    place: tuple[Floats, Floats, Floats],
    edge: float,
) -> Bools:
    """Of voxels with centres at `place` in the lidar's frame, those that a beam crosses."""
    x, y, z = place
    across = np.sqrt(x * x + y * y)
    elevation = np.arctan(z / across)
    ring = nearest[((elevation + np.float32(np.pi / 2)) * np.float32(_FINENESS)).astype(np.int32)]
    crossed: Bools = np.abs(z - across * slopes[ring]) <= np.float32(edge / 2)
    count = ranges.shape[1]
    turn = np.arctan2(y[crossed], x[crossed]) * np.float32(count / (2 * np.pi))
    column = np.floor(turn).astype(np.int32) % count
    distance = np.sqrt(across[crossed] ** 2 + z[crossed] ** 2)
    crossed[crossed] = distance < ranges[ring[crossed], column]
    return crossed


def _nearest_rings(elevations: Array) -> npt.NDArray[np.int32]:
    """Ring nearest to each of _FINENESS steps per radian from straight down to straight up."""
    steps = (np.arange(int(np.pi * _FINENESS) + 2) + 0.5) / _FINENESS - np.pi / 2
    return np.searchsorted((elevations[1:] + elevations[:-1]) / 2, steps).astype(np.int32)


def _meet_faces(passed: Bools, origin: Array, grid: VoxelGrid, met: Bools) -> None:
    """Mark the neighbours behind the voxels seen free, as seen from the sensor at `origin`."""
    for axis in range(3):
        own = int(np.floor((origin[axis] - grid.lower[axis]) / grid.voxel_size))
        count = grid.shape[axis]
        front, behind = np.moveaxis(passed, axis, 0), np.moveaxis(met, axis, 0)
        start = min(max(own + 1, 1), count)
        behind[start:] |= front[start - 1 : count - 1]
        end = min(max(own, 0), count - 1)
        behind[:end] |= front[1 : end + 1]


def _meet_hits(points: Floats, grid: VoxelGrid, met: Bools) -> None:
    """Mark the voxels that hold one of the points [3, M]."""
    index = np.floor(
        (points - np.array(grid.lower, np.float32)[:, None]) / np.float32(grid.voxel_size)
    )
    shape = np.array(grid.shape)[:, None]
    x, y, z = index[:, ((index >= 0) & (index < shape)).all(0)].astype(np.int32)
    met[x, y, z] = True


def _camera_hits(view: DepthView) -> Floats:
    """What the pixels show: points [3, M] in the ego frame."""
    height, width = view.depth.shape
    ego_from_pixel = view.ego_from_cam[:3, :3] @ np.linalg.inv(view.intrinsics)
    columns = (np.arange(width) + 0.5) * ego_from_pixel[:, :1]
    rows = (np.arange(height) + 0.5) * ego_from_pixel[:, 1:2] + ego_from_pixel[:, 2:]
    directions = rows.astype(np.float32)[:, :, None] + columns.astype(np.float32)[:, None, :]
    hit = view.depth > 0
    points: Floats = directions[:, hit] * view.depth[hit]
    points += view.ego_from_cam[:3, 3:].astype(np.float32)
    return points


def _lidar_hits(sweep: LidarSweep, ego_from_lidar: Array) -> Floats:
    """Where the beams ended: points [3, M] in the ego frame."""
    columns = sweep.ranges.shape[1]
    ring, column = np.nonzero(np.isfinite(sweep.ranges))
    azimuth = (column + 0.5) * (2 * np.pi / columns)
    elevation = sweep.elevations[ring]
    across = np.cos(elevation)
    directions = np.stack([across * np.cos(azimuth), across * np.sin(azimuth), np.sin(elevation)])
    points = ego_from_lidar[:3, :3] @ (directions * sweep.ranges[ring, column])
    return (points + ego_from_lidar[:3, 3:]).astype(np.float32)
