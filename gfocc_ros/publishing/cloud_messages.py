"""Occupied voxels to PointCloud2: now, and at several times ahead in one cloud.

Points are written straight into the array that the message holds.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from gfocc_core.frame import Occupancy
from gfocc_ros.messages import NANOSECONDS, header_at
from gfocc_ros.publishing.class_messages import PACKED_COLORS
from gfocc_ros.publishing.occupied_voxels import OccupiedVoxels, occupied_voxels

_VOXEL_FIELDS = {"x": "f4", "y": "f4", "z": "f4", "rgb": "f4", "label": "u1", "density": "f4"}


def _layout(fields: dict[str, str]) -> np.dtype[np.void]:
    """One field on every multiple of 4 bytes, so that readers may cast."""
    return np.dtype(
        {
            "names": list(fields),
            "formats": list(fields.values()),
            "offsets": [4 * number for number in range(len(fields))],
            "itemsize": 4 * len(fields),
        }
    )


CLOUD_POINT = _layout(_VOXEL_FIELDS | {"vx": "f4", "vy": "f4", "vz": "f4"})
"""One point of `~/occupancy`; three bytes after label are unused."""

FORECAST_POINT = _layout(_VOXEL_FIELDS | {"seconds": "f4"})
"""One point of `~/forecast`; three bytes after label are unused."""

_POINT_FIELD_TYPES = {
    np.dtype(np.uint8): PointField.UINT8,
    np.dtype(np.float32): PointField.FLOAT32,
}


def cloud_message(voxels: OccupiedVoxels, frame_id: str) -> PointCloud2:
    """Centres of the occupied voxels in the ego frame, in the order of the [x, y, z] array.

    Fields: x, y, z (float32, metres), rgb (packed in a float32), label (uint8, Occ3D id),
    density (float32, 0 to 1), vx, vy, vz (float32, m/s along the ego frame's axes; NaN where the
    velocity was not predicted).
    """
    data, points = _allocate(len(voxels), CLOUD_POINT)
    _write(points, voxels)
    velocity = voxels.velocity
    for axis, name in enumerate(("vx", "vy", "vz")):
        points[name] = np.nan if velocity is None else velocity[axis]
    return _message(header_at(voxels.stamp_ns, frame_id), data, CLOUD_POINT)


def forecast_message(forecasts: Sequence[Occupancy], stamp_ns: int, frame_id: str) -> PointCloud2:
    """The occupied voxels of every forecast in the ego frame at `stamp_ns`, one after another.

    Fields: x, y, z, rgb, label, density as in `cloud_message`, and seconds (float32), the time
    ahead of the message's stamp at which the voxel is expected to be occupied.
    """
    ahead = [occupied_voxels(forecast) for forecast in forecasts]
    data, points = _allocate(sum(len(voxels) for voxels in ahead), FORECAST_POINT)
    begin = 0
    for voxels in ahead:
        own = points[begin : begin + len(voxels)]
        _write(own, voxels)
        own["seconds"] = (voxels.stamp_ns - stamp_ns) / NANOSECONDS
        begin += len(voxels)
    return _message(header_at(stamp_ns, frame_id), data, FORECAST_POINT)


def _allocate(count: int, layout: np.dtype[np.void]) -> tuple[array[int], NDArray[np.void]]:
    """An array for a message and a view of it as points."""
    data = array("B", bytes(count * layout.itemsize))
    return data, np.frombuffer(data, layout)


def _write(points: NDArray[np.void], voxels: OccupiedVoxels) -> None:
    for name, centers in zip("xyz", voxels.centers(), strict=True):
        points[name] = centers
    points["rgb"] = PACKED_COLORS[voxels.labels]
    points["label"] = voxels.labels
    points["density"] = voxels.density


def _message(header: Header, data: array[int], layout: np.dtype[np.void]) -> PointCloud2:
    return PointCloud2(
        header=header,
        height=1,
        width=len(data) // layout.itemsize,
        fields=_point_fields(layout),
        is_bigendian=sys.byteorder == "big",
        point_step=layout.itemsize,
        row_step=len(data),
        data=data,
        is_dense=True,
    )


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
