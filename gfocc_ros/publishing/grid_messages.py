"""Occupied voxels to nav_msgs/OccupancyGrid: what each column of voxels means for driving."""

from __future__ import annotations

from array import array

import numpy as np
from nav_msgs.msg import OccupancyGrid
from numpy.typing import NDArray

from gfocc_core.grid import VoxelGrid
from gfocc_core.taxonomy import GROUND_IDS
from gfocc_ros.messages import header_at
from gfocc_ros.publishing.occupied_voxels import OccupiedVoxels

OBSTACLE_CELL, FREE_CELL, UNKNOWN_CELL = 100, 0, -1
"""Values of nav_msgs/OccupancyGrid."""

_TOUCHING = 1e-3
"""Share of a voxel by which it must reach into the band: 0.2 m is no binary number."""


def grid_message(
    voxels: OccupiedVoxels, frame_id: str, min_height_m: float, max_height_m: float
) -> OccupancyGrid:
    """The occupancy seen from above, in the ego frame.

    100 where the column holds an obstacle of which any part lies between the two heights
    (metres along z of the ego frame); else 0 where it holds a ground class at any height; else
    -1. Row-major with x fastest; the origin is the grid's lower x, y corner at the height of the
    ego frame.
    """
    grid = voxels.grid
    message = OccupancyGrid(header=header_at(voxels.stamp_ns, frame_id))
    message.info.map_load_time = message.header.stamp
    message.info.resolution = float(grid.voxel_size)
    message.info.width, message.info.height = grid.shape[:2]
    message.info.origin.position.x = float(grid.lower[0])
    message.info.origin.position.y = float(grid.lower[1])
    message.info.origin.orientation.w = 1.0
    message.data = array("b", _cells(voxels, min_height_m, max_height_m).tobytes())
    return message


def _cells(voxels: OccupiedVoxels, min_height_m: float, max_height_m: float) -> NDArray[np.int8]:
    """[Y, X] cells."""
    grid = voxels.grid
    x, y, layer = voxels.index.T
    is_ground = np.isin(voxels.labels, GROUND_IDS)
    in_band = _layers_between(grid, min_height_m, max_height_m)[layer]
    cells = np.full((grid.shape[1], grid.shape[0]), UNKNOWN_CELL, np.int8)
    cells[y[is_ground], x[is_ground]] = FREE_CELL
    is_obstacle = ~is_ground & in_band
    cells[y[is_obstacle], x[is_obstacle]] = OBSTACLE_CELL
    return cells


def _layers_between(grid: VoxelGrid, min_height_m: float, max_height_m: float) -> NDArray[np.bool_]:
    """[Z] whether a layer of voxels overlaps the band."""
    layer = np.arange(grid.shape[2])
    top = grid.lower[2] + (layer + 1 - _TOUCHING) * grid.voxel_size
    bottom = grid.lower[2] + (layer + _TOUCHING) * grid.voxel_size
    return (top > min_height_m) & (bottom < max_height_m)
