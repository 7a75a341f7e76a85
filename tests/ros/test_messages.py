"""Messages say, by their own fields, what the occupancy holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nav_msgs.msg import OccupancyGrid
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import PointCloud2, PointField

from gfocc_core.frame import Occupancy
from gfocc_core.grid import VoxelGrid
from gfocc_core.taxonomy import FREE_ID
from gfocc_ros.messages import (
    cloud_message,
    grid_message,
    nanoseconds_from_stamp,
    stamp_from_nanoseconds,
)

GRID = VoxelGrid(lower=(-4.0, -2.0, -1.0), voxel_size=0.5, shape=(7, 5, 3))
STAMP_NS = 1_532_402_927_612_460_123
CAR, ROAD, SIDEWALK, VEGETATION = 4, 11, 13, 16
NUMPY_TYPES = {PointField.FLOAT32: "f4", PointField.UINT8: "u1"}


def occupancy(labels: torch.Tensor, density: torch.Tensor | None = None) -> Occupancy:
    density = torch.zeros(labels.shape) if density is None else density
    return Occupancy(labels, density, None, GRID, STAMP_NS)


def free() -> torch.Tensor:
    return torch.full(GRID.shape, FREE_ID, dtype=torch.uint8)


def read_points(cloud: PointCloud2) -> NDArray[np.void]:
    """Read as any subscriber does: only by what the message says about itself."""
    order = ">" if cloud.is_bigendian else "<"
    layout = np.dtype(
        {
            "names": [field.name for field in cloud.fields],
            "formats": [order + NUMPY_TYPES[field.datatype] for field in cloud.fields],
            "offsets": [field.offset for field in cloud.fields],
            "itemsize": cloud.point_step,
        }
    )
    assert cloud.height * cloud.row_step == len(cloud.data)
    assert cloud.row_step == cloud.width * cloud.point_step
    return np.frombuffer(cloud.data, layout)


def test_cloud_holds_every_occupied_voxel_with_its_label_and_density() -> None:
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(0, FREE_ID + 1, GRID.shape, generator=generator).to(torch.uint8)
    labels[torch.rand(GRID.shape, generator=generator) < 0.5] = FREE_ID
    density = torch.rand(GRID.shape, generator=generator)
    points = read_points(cloud_message(occupancy(labels, density), "base_link"))
    assert points.dtype.names == ("x", "y", "z", "label", "density")
    position = torch.tensor(np.stack([points["x"], points["y"], points["z"]], 1))
    index = GRID.index_of(position)
    torch.testing.assert_close(position, GRID.centers_of(index))
    assert len(points) == int((labels != FREE_ID).sum())
    x, y, z = index.unbind(1)
    np.testing.assert_array_equal(points["label"], labels[x, y, z].numpy())
    np.testing.assert_array_equal(points["density"], density[x, y, z].numpy())
    flat = GRID.flatten_index(index)
    assert bool((flat.diff() > 0).all()), "points follow the order of the array, none twice"


def test_cloud_fields_are_aligned_for_readers_that_cast() -> None:
    cloud = cloud_message(occupancy(free()), "base_link")
    floats = [field for field in cloud.fields if field.datatype == PointField.FLOAT32]
    assert all(field.offset % 4 == 0 for field in floats)
    assert cloud.point_step % 4 == 0


def test_cloud_of_free_space_is_empty_and_valid() -> None:
    cloud = cloud_message(occupancy(free()), "base_link")
    assert (cloud.width, len(cloud.data)) == (0, 0)
    assert len(read_points(cloud)) == 0


def test_messages_carry_the_frame_and_the_stamp_to_the_nanosecond() -> None:
    for build in (cloud_message, grid_message):
        header = build(occupancy(free()), "robot/base").header
        assert header.frame_id == "robot/base"
        assert nanoseconds_from_stamp(header.stamp) == STAMP_NS


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
    labels = free()
    labels[2, 3] = torch.tensor(column, dtype=torch.uint8)
    grid = grid_message(occupancy(labels), "base_link")
    cells = np.asarray(grid.data).reshape(grid.info.height, grid.info.width)
    assert cells[3, 2] == expected
    assert (np.delete(cells.ravel(), 3 * grid.info.width + 2) == -1).all()


def test_grid_cell_covers_the_ground_its_index_says() -> None:
    point = torch.tensor([-0.6, 0.1, 0.2])
    labels = free()
    labels[tuple(GRID.index_of(point))] = CAR
    grid = grid_message(occupancy(labels), "base_link")
    origin = grid.info.origin
    column = int((float(point[0]) - origin.position.x) / grid.info.resolution)
    row = int((float(point[1]) - origin.position.y) / grid.info.resolution)
    assert grid.data[row * grid.info.width + column] == 100
    assert sum(cell == 100 for cell in grid.data) == 1
    assert (origin.orientation.x, origin.orientation.y, origin.orientation.z) == (0, 0, 0)
    assert origin.orientation.w == 1


def test_messages_survive_serialization() -> None:
    labels = free()
    labels[1, 2, 0] = CAR
    for build, kind in ((cloud_message, PointCloud2), (grid_message, OccupancyGrid)):
        message = build(occupancy(labels), "base_link")
        assert deserialize_message(serialize_message(message), kind) == message


@pytest.mark.parametrize("stamp_ns", [0, 1, 999_999_999, 1_000_000_000, STAMP_NS])
def test_stamps_round_trip(stamp_ns: int) -> None:
    assert nanoseconds_from_stamp(stamp_from_nanoseconds(stamp_ns)) == stamp_ns
