"""Structured numpy arrays as sensor_msgs/PointCloud2; lidar files as such arrays."""

from __future__ import annotations

import sys
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gfocc_core.data.scenes import DatasetError
from gfocc_ros.bags.messages import header, new_message

Points = npt.NDArray[np.void]
"""[N] records with a field per quantity."""

LIDAR_POINT: Final = np.dtype(
    {
        "names": ["x", "y", "z", "intensity", "ring"],
        "formats": [np.float32, np.float32, np.float32, np.float32, np.uint16],
        "offsets": [0, 4, 8, 12, 16],
        "itemsize": 20,
    }
)
"""Metres in the lidar's frame, intensity 0 to 255, number of the laser from below."""

_FILE_COLUMNS = 5
_DATATYPES: Final = {
    "i1": 1,
    "u1": 2,
    "i2": 3,
    "u2": 4,
    "i4": 5,
    "u4": 6,
    "f4": 7,
    "f8": 8,
}
"""Numbers of sensor_msgs/PointField by numpy's kind and size."""


def point_cloud(stamp_ns: int, frame_id: str, points: Points) -> Any:
    """sensor_msgs/PointCloud2 of one row with the array's own fields, offsets and bytes."""
    layout = points.dtype
    assert layout.fields is not None
    fields = layout.fields
    return new_message(
        "sensor_msgs/msg/PointCloud2",
        header=header(stamp_ns, frame_id),
        height=1,
        width=len(points),
        fields=[
            new_message(
                "sensor_msgs/msg/PointField",
                name=name,
                offset=fields[name][1],
                datatype=_DATATYPES[fields[name][0].str[1:]],
                count=1,
            )
            for name in layout.names or ()
        ],
        is_bigendian=sys.byteorder == "big",
        point_step=layout.itemsize,
        row_step=layout.itemsize * len(points),
        data=np.frombuffer(points.tobytes(), np.uint8),
        is_dense=True,
    )


def lidar_points(data: bytes, name: str) -> Points:
    """LIDAR_POINT records [N] of a nuScenes `.pcd.bin`: rows of x, y, z, intensity, ring (float32).

    Raises:
        DatasetError: not whole rows of finite numbers, or a ring that is none; it says `name`.
    """
    row_bytes = 4 * _FILE_COLUMNS
    if not data or len(data) % row_bytes:
        raise DatasetError(f"{name} is corrupt: {len(data)} bytes are not rows of {row_bytes}")
    rows = np.frombuffer(data, "<f4").reshape(-1, _FILE_COLUMNS)
    ring = rows[:, 4]
    if not np.isfinite(rows).all():
        raise DatasetError(f"{name} is corrupt: it holds a NaN or infinite number")
    if (ring < 0).any() or (ring > 65535).any() or (ring != np.floor(ring)).any():
        raise DatasetError(
            f"{name} is corrupt: ring must be 0 to 65535, got {ring.min():g} to {ring.max():g}"
        )
    points = np.zeros(len(rows), LIDAR_POINT)
    for column, field in enumerate(LIDAR_POINT.names or ()):
        points[field] = rows[:, column]
    return points
