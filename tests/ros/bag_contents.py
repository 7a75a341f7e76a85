"""Read a bag back, with the definitions that it holds itself; for the converter's tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pyquaternion import Quaternion
from rosbags.highlevel import AnyReader

Array = npt.NDArray[Any]

_NUMPY_TYPES = dict(enumerate(("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"), start=1))


@dataclass(frozen=True)
class Logged:
    """One message of a bag."""

    topic: str
    log_ns: int
    message: Any

    @property
    def stamp_ns(self) -> int:
        holders = getattr(self.message, "transforms", None) or getattr(
            self.message, "markers", None
        )
        stamp = (holders[0] if holders else self.message).header.stamp
        return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def read_bag(path: Path) -> list[Logged]:
    with AnyReader([path]) as reader:
        return [
            Logged(connection.topic, log_ns, reader.deserialize(data, connection.msgtype))
            for connection, log_ns, data in reader.messages()
        ]


def on_topic(bag: list[Logged], topic: str) -> dict[int, Any]:
    """The messages of a topic by their stamps, of which none occurs twice."""
    found = [logged for logged in bag if logged.topic == topic]
    by_stamp = {logged.stamp_ns: logged.message for logged in found}
    assert len(by_stamp) == len(found)
    return by_stamp


def matrix_from(position: Any, orientation: Any) -> Array:
    matrix: Array = Quaternion(
        orientation.w, orientation.x, orientation.y, orientation.z
    ).transformation_matrix
    matrix[:3, 3] = (position.x, position.y, position.z)
    return matrix


def matrix_of(transform: Any) -> Array:
    return matrix_from(transform.transform.translation, transform.transform.rotation)


def global_from_base(bag: list[Logged]) -> dict[int, Array]:
    """map_from_base_link of each stamp, out of the bag's /tf."""
    poses = {}
    for logged in (item for item in bag if item.topic == "/tf"):
        to_odom, to_base = logged.message.transforms
        assert (to_odom.header.frame_id, to_odom.child_frame_id) == ("map", "odom")
        assert (to_base.header.frame_id, to_base.child_frame_id) == ("odom", "base_link")
        assert to_odom.header.stamp == to_base.header.stamp
        assert logged.stamp_ns not in poses
        poses[logged.stamp_ns] = matrix_of(to_odom) @ matrix_of(to_base)
    return poses


def base_from_sensor(bag: list[Logged], frame_id: str) -> Array:
    """A sensor's mount, out of the bag's only /tf_static."""
    (static,) = (logged.message for logged in bag if logged.topic == "/tf_static")
    (mount,) = (item for item in static.transforms if item.child_frame_id == frame_id)
    assert mount.header.frame_id == "base_link"
    return matrix_of(mount)


def points_of(cloud: Any) -> Array:
    """A PointCloud2 as structured array, by what its fields say."""
    assert not cloud.is_bigendian
    assert (cloud.height, cloud.row_step) == (1, cloud.width * cloud.point_step)
    assert all(field.count == 1 for field in cloud.fields)
    layout = np.dtype(
        {
            "names": [field.name for field in cloud.fields],
            "formats": [f"<{_NUMPY_TYPES[field.datatype]}" for field in cloud.fields],
            "offsets": [field.offset for field in cloud.fields],
            "itemsize": cloud.point_step,
        }
    )
    points: Array = np.frombuffer(cloud.data.tobytes(), layout)
    assert len(points) == cloud.width
    return points


def xyz_of(cloud: Any) -> Array:
    """float64 [N, 3]."""
    points = points_of(cloud)
    return np.stack([points[name] for name in "xyz"], -1).astype(np.float64)
