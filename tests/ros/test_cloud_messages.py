"""Clouds say, by their own fields, what the occupancy holds, and can be read back."""

from __future__ import annotations

from array import array

import numpy as np
import pytest
import torch
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import PointCloud2, PointField

from gfocc_core.grid import VoxelGrid
from gfocc_core.taxonomy import COLORS, FREE_ID
from gfocc_ros.messages import nanoseconds_from_stamp
from gfocc_ros.publishing.cloud_messages import cloud_message, forecast_message
from gfocc_ros.publishing.cloud_reader import labels_from_cloud
from gfocc_ros.publishing.occupied_voxels import occupied_voxels
from tests.ros.occupancy_scene import (
    CAR,
    GRID,
    STAMP_NS,
    free,
    occupancy,
    random_labels,
    read_points,
    voxels,
)

VOXEL_FIELDS = ("x", "y", "z", "rgb", "label", "density")


def index_of(points: np.ndarray) -> torch.Tensor:  # type: ignore[type-arg]
    return GRID.index_of(torch.tensor(np.stack([points[name] for name in "xyz"], 1)))


def test_cloud_holds_every_occupied_voxel_with_label_density_and_velocity() -> None:
    labels = random_labels(3)
    density, velocity = torch.rand(GRID.shape), torch.randn(*GRID.shape, 3)
    made = occupied_voxels(occupancy(labels, density, velocity))
    points = read_points(cloud_message(made, "base_link"))
    assert points.dtype.names == (*VOXEL_FIELDS, "vx", "vy", "vz")
    index = index_of(points)
    torch.testing.assert_close(
        torch.tensor(np.stack([points[name] for name in "xyz"], 1)), GRID.centers_of(index)
    )
    assert len(points) == int((labels != FREE_ID).sum())
    x, y, z = index.unbind(1)
    np.testing.assert_array_equal(points["label"], labels[x, y, z].numpy())
    np.testing.assert_array_equal(points["density"], density[x, y, z].numpy())
    for axis, name in enumerate(("vx", "vy", "vz")):
        np.testing.assert_array_equal(points[name], velocity[x, y, z, axis].numpy())
    flat = GRID.flatten_index(index)
    assert bool((flat.diff() > 0).all()), "points follow the order of the array, none twice"


def test_packed_colours_read_back_as_rviz_reads_them() -> None:
    points = read_points(cloud_message(voxels(random_labels(1)), "base_link"))
    bits = np.ascontiguousarray(points["rgb"]).view(np.uint32)
    read = np.stack([bits >> 16 & 255, bits >> 8 & 255, bits & 255], 1)
    np.testing.assert_array_equal(read, np.array(COLORS)[points["label"]])
    assert (bits >> 24 == 0).all()


def test_a_velocity_that_was_not_predicted_is_no_standstill() -> None:
    points = read_points(cloud_message(voxels(random_labels(1)), "base_link"))
    assert all(np.isnan(points[name]).all() for name in ("vx", "vy", "vz"))


def test_forecast_lists_every_horizon_under_the_frames_stamp() -> None:
    ahead = {0.5: random_labels(1), 2.0: random_labels(2), 3.0: free()}
    forecasts = [
        occupancy(labels, stamp_ns=STAMP_NS + int(seconds * 1e9))
        for seconds, labels in ahead.items()
    ]
    cloud = forecast_message(forecasts, STAMP_NS, "base_link")
    assert (cloud.header.frame_id, nanoseconds_from_stamp(cloud.header.stamp)) == (
        "base_link",
        STAMP_NS,
    )
    points = read_points(cloud)
    assert points.dtype.names == (*VOXEL_FIELDS, "seconds")
    assert set(points["seconds"]) == {0.5, 2.0}
    for seconds, labels in ahead.items():
        own = points[points["seconds"] == seconds]
        found = free()
        found[tuple(index_of(own).T)] = torch.from_numpy(own["label"].copy())
        assert torch.equal(found, labels)


@pytest.mark.parametrize(
    "cloud",
    [
        cloud_message(voxels(free()), "base_link"),
        forecast_message([occupancy(free())], STAMP_NS, "base_link"),
    ],
)
def test_cloud_of_free_space_is_empty_and_valid(cloud: PointCloud2) -> None:
    assert (cloud.width, len(cloud.data)) == (0, 0)
    assert len(read_points(cloud)) == 0
    floats = [field for field in cloud.fields if field.datatype == PointField.FLOAT32]
    assert all(field.offset % 4 == 0 for field in floats), "readers may cast"
    assert cloud.point_step % 4 == 0


def test_cloud_survives_serialization_and_reads_back_as_labels() -> None:
    labels = random_labels(5)
    cloud = cloud_message(voxels(labels), "base_link")
    assert isinstance(cloud.data, array), "anything else is copied byte by byte"
    received = deserialize_message(serialize_message(cloud), PointCloud2)
    assert bytes(received.data) == bytes(cloud.data)
    assert received.fields == cloud.fields
    assert torch.equal(labels_from_cloud(received, GRID), labels)


def test_reader_refuses_other_layouts_and_points_outside() -> None:
    labels = free()
    labels[6, 4, 2] = CAR
    cloud = cloud_message(voxels(labels), "base_link")
    with pytest.raises(ValueError, match="outside the grid"):
        labels_from_cloud(cloud, VoxelGrid(lower=GRID.lower, voxel_size=0.5, shape=(6, 5, 3)))
    cloud.point_step -= 4
    with pytest.raises(ValueError, match="point_step"):
        labels_from_cloud(cloud, GRID)
