"""Occupied voxels to PointCloud2: now, and at several times ahead in one cloud.

Points are put together where the prediction lies and copied once, into the message's own array.
"""

from __future__ import annotations

import functools
import sys
from array import array
from collections.abc import Sequence

import numpy as np
import torch
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header
from torch import Tensor

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
    velocity = voxels.velocity
    if velocity is None:
        velocity = voxels.density.new_full((len(voxels), 3), torch.nan)
    points = torch.stack([*_columns(voxels), *velocity.unbind(1)], 1)
    return _message(header_at(voxels.stamp_ns, frame_id), [points], CLOUD_POINT)


def forecast_message(forecasts: Sequence[Occupancy], stamp_ns: int, frame_id: str) -> PointCloud2:
    """The occupied voxels of every forecast in the ego frame at `stamp_ns`, one after another.

    Fields: x, y, z, rgb, label, density as in `cloud_message`, and seconds (float32), the time
    ahead of the message's stamp at which the voxel is expected to be occupied.
    """
    ahead = [occupied_voxels(forecast) for forecast in forecasts]
    points = [
        torch.stack(
            [
                *_columns(voxels),
                voxels.density.new_full((len(voxels),), (voxels.stamp_ns - stamp_ns) / NANOSECONDS),
            ],
            1,
        )
        for voxels in ahead
    ]
    return _message(header_at(stamp_ns, frame_id), points, FORECAST_POINT)


def _columns(voxels: OccupiedVoxels) -> list[Tensor]:
    """The bits of _VOXEL_FIELDS, each read as float32 [N]."""
    labels = voxels.label_ids.int()
    colors = _packed_colors(labels.device)[labels]
    first_byte = labels if sys.byteorder == "little" else labels << 24
    return [*voxels.centers(), colors, first_byte.view(torch.float32), voxels.density]


@functools.cache
def _packed_colors(device: torch.device) -> Tensor:
    return torch.from_numpy(PACKED_COLORS).to(device)


def _message(header: Header, points: Sequence[Tensor], layout: np.dtype[np.void]) -> PointCloud2:
    """Points [N, fields] one after another, copied from where they lie into the message's array."""
    count = sum(len(part) for part in points)
    data = array("B", bytes(count * layout.itemsize))
    if count:  # torch takes no empty buffer
        rows = torch.frombuffer(data, dtype=torch.float32).view(count, -1)
        for own, part in zip(rows.split([len(part) for part in points]), points, strict=True):
            own.copy_(part)
    return PointCloud2(
        header=header,
        height=1,
        width=count,
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
