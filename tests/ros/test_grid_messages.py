"""The 2D grid says what a vehicle of some height may drive over."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nav_msgs.msg import OccupancyGrid
from rclpy.serialization import deserialize_message, serialize_message

from gfocc_core.frame import Occupancy
from gfocc_core.grid import OCC3D_GRID
from gfocc_core.taxonomy import FREE_ID
from gfocc_ros.messages import nanoseconds_from_stamp
from gfocc_ros.publishing.grid_messages import grid_message
from gfocc_ros.publishing.occupied_voxels import occupied_voxels
from tests.ros.occupancy_scene import (
    CAR,
    GRID,
    ROAD,
    SIDEWALK,
    STAMP_NS,
    VEGETATION,
    free,
    random_labels,
    voxels,
)

EVERYTHING = (-10.0, 10.0)


def cell_of(column: tuple[int, int, int], low: float, high: float) -> int:
    """The cell of one column, lowest voxel first; all others are unknown."""
    labels = free()
    labels[2, 3] = torch.tensor(column, dtype=torch.uint8)
    grid = grid_message(voxels(labels), "base_link", low, high)
    cells = np.asarray(grid.data).reshape(grid.info.height, grid.info.width)
    assert (np.delete(cells.ravel(), 3 * grid.info.width + 2) == -1).all()
    return int(cells[3, 2])


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ((FREE_ID, FREE_ID, FREE_ID), -1),
        ((ROAD, FREE_ID, FREE_ID), 0),
        ((ROAD, SIDEWALK, FREE_ID), 0),
        ((ROAD, CAR, FREE_ID), 100),
        ((FREE_ID, FREE_ID, VEGETATION), 100),
        ((ROAD, FREE_ID, 0), 100),
    ],
)
def test_column_decides_its_cell(column: tuple[int, int, int], expected: int) -> None:
    assert cell_of(column, *EVERYTHING) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-1.0, 0.0, 0),  # the layers span -1 to -0.5, -0.5 to 0 and 0 to 0.5
        (-1.0, 0.1, 100),
        (0.4, 2.0, 100),
        (0.5, 2.0, 0),
        (0.1, 0.2, 100),
    ],
)
def test_obstacles_count_where_they_reach_into_the_band(
    low: float, high: float, expected: int
) -> None:
    assert cell_of((ROAD, FREE_ID, VEGETATION), low, high) == expected


def test_a_band_that_begins_where_a_layer_ends_leaves_the_layer_out() -> None:
    labels = torch.full(OCC3D_GRID.shape, FREE_ID, dtype=torch.uint8)
    labels[5, 5, 2] = CAR  # -0.2 to 0.2 m, and -1 + 3 * 0.4 is a little more than 0.2
    shown = occupied_voxels(Occupancy(labels, torch.zeros(labels.shape), None, OCC3D_GRID, 0))
    for low, high, highest in ((0.2, 1.0, -1), (-1.0, -0.2, -1), (0.19, 1.0, 100)):
        assert max(grid_message(shown, "base_link", low, high).data) == highest


def test_ground_counts_at_any_height_and_an_obstacle_outside_the_band_is_no_ground() -> None:
    assert cell_of((FREE_ID, FREE_ID, ROAD), -1.0, -0.6) == 0
    assert cell_of((FREE_ID, FREE_ID, VEGETATION), -1.0, -0.6) == -1


def test_grid_cell_covers_the_ground_its_index_says() -> None:
    point = torch.tensor([-0.6, 0.1, 0.2])
    labels = free()
    labels[tuple(GRID.index_of(point))] = CAR
    grid = grid_message(voxels(labels), "base_link", *EVERYTHING)
    origin = grid.info.origin
    column = int((float(point[0]) - origin.position.x) / grid.info.resolution)
    row = int((float(point[1]) - origin.position.y) / grid.info.resolution)
    assert grid.data[row * grid.info.width + column] == 100
    assert sum(cell == 100 for cell in grid.data) == 1
    assert (origin.orientation.x, origin.orientation.y, origin.orientation.z) == (0, 0, 0)
    assert origin.orientation.w == 1


def test_grid_carries_frame_and_stamp_and_survives_serialization() -> None:
    grid = grid_message(voxels(random_labels(2)), "robot/base", *EVERYTHING)
    assert grid.header.frame_id == "robot/base"
    assert nanoseconds_from_stamp(grid.header.stamp) == STAMP_NS
    assert deserialize_message(serialize_message(grid), OccupancyGrid) == grid
