"""Occupancy to ROS messages: the cloud of occupied voxels and the 2D grid of obstacles.

Pure functions; the arrays go into the messages as bytes, never point by point.
"""

from __future__ import annotations

import sys
from array import array

import numpy as np
import torch
from builtin_interfaces.msg import Time
from nav_msgs.msg import OccupancyGrid
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header
from torch import Tensor

from gfocc_core.frame import Occupancy
from gfocc_core.taxonomy import FREE_ID, GROUND_IDS

NANOSECONDS = 1_000_000_000

CLOUD_POINT = np.dtype(
    {
        "names": ["x", "y", "z", "label", "density"],
        "formats": [np.float32, np.float32, np.float32, np.uint8, np.float32],
        "offsets": [0, 4, 8, 12, 16],
        "itemsize": 20,
    }
)
"""One point of the cloud; floats lie on multiples of 4 bytes, three bytes after label are unused."""

_POINT_FIELD_TYPES = {
    np.dtype(np.uint8): PointField.UINT8,
    np.dtype(np.float32): PointField.FLOAT32,
}

OBSTACLE_CELL, FREE_CELL, UNKNOWN_CELL = 100, 0, -1
"""Values of nav_msgs/OccupancyGrid."""


def stamp_from_nanoseconds(stamp_ns: int) -> Time:
    return Time(sec=stamp_ns // NANOSECONDS, nanosec=stamp_ns % NANOSECONDS)


def nanoseconds_from_stamp(stamp: Time) -> int:
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)


def cloud_message(occupancy: Occupancy, frame_id: str) -> PointCloud2:
    """Centres of the occupied voxels in the ego frame, in the order of the [x, y, z] array.

    Fields: x, y, z (float32, metres), label (uint8, Occ3D id), density (float32, 0 to 1).
    """
    index = torch.nonzero(occupancy.labels != FREE_ID)
    points = np.zeros(len(index), CLOUD_POINT)
    centers = occupancy.grid.centers_of(index).cpu().numpy()
    for axis, name in enumerate("xyz"):
        points[name] = centers[:, axis]
    x, y, z = index.unbind(1)
    points["label"] = occupancy.labels[x, y, z].cpu().numpy()
    points["density"] = occupancy.density[x, y, z].cpu().numpy()
    return PointCloud2(
        header=_header(occupancy, frame_id),
        height=1,
        width=len(points),
        fields=_point_fields(CLOUD_POINT),
        is_bigendian=sys.byteorder == "big",
        point_step=CLOUD_POINT.itemsize,
        row_step=CLOUD_POINT.itemsize * len(points),
        data=array("B", points.tobytes()),
        is_dense=True,
    )


def grid_message(occupancy: Occupancy, frame_id: str) -> OccupancyGrid:
    """What each column of voxels means for driving, seen from above, in the ego frame.

    100 where the column holds an obstacle, 0 where it holds ground classes only, -1 where
    nothing is occupied. Row-major with x fastest; the origin is the grid's lower x, y corner
    at the height of the ego frame.
    """
    grid = occupancy.grid
    message = OccupancyGrid(header=_header(occupancy, frame_id))
    message.info.map_load_time = message.header.stamp
    message.info.resolution = float(grid.voxel_size)
    message.info.width, message.info.height = grid.shape[:2]
    message.info.origin.position.x = float(grid.lower[0])
    message.info.origin.position.y = float(grid.lower[1])
    message.info.origin.orientation.w = 1.0
    cells = _cells(occupancy.labels).t().contiguous().cpu().numpy()
    message.data = array("b", cells.tobytes())
    return message


def _cells(labels: Tensor) -> Tensor:
    """int8 [X, Y] from labels [X, Y, Z]."""
    is_ground = torch.zeros_like(labels, dtype=torch.bool)
    for ground_id in GROUND_IDS:
        is_ground |= labels == ground_id
    has_obstacle = ((labels != FREE_ID) & ~is_ground).any(-1)
    cells = torch.full(labels.shape[:2], UNKNOWN_CELL, dtype=torch.int8, device=labels.device)
    cells[is_ground.any(-1)] = FREE_CELL
    cells[has_obstacle] = OBSTACLE_CELL
    return cells


def _header(occupancy: Occupancy, frame_id: str) -> Header:
    return Header(stamp=stamp_from_nanoseconds(occupancy.stamp_ns), frame_id=frame_id)


def _point_fields(layout: np.dtype[np.void]) -> list[PointField]:
    """The layout as PointFields, in its order."""
    assert layout.fields is not None
    return [
        PointField(
            name=name,
            offset=layout.fields[name][1],
            datatype=_POINT_FIELD_TYPES[layout.fields[name][0]],
            count=1,
        )
        for name in layout.names or ()
    ]
