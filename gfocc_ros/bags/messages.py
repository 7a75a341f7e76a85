"""Build and serialise the ROS messages a bag of ours holds, without a ROS installation.

The definitions are Humble's, as rosbags ships them; their type hashes equal Jazzy's and Kilted's.
Poses are `parent_from_child` transforms, float64 [4, 4], metres.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from pyquaternion import Quaternion
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.typesys import Stores, get_typestore
from torch import Tensor

TYPESTORE = get_typestore(Stores.ROS2_HUMBLE)

_UNLIMITED = QosTime(9223372036, 854775807)


def offered_qos(depth: int, latched: bool = False) -> Qos:
    """A reliable publisher's profile; latched means that late subscribers get the last messages."""
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=depth,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=_UNLIMITED,
        lifespan=_UNLIMITED,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_UNLIMITED,
        avoid_ros_namespace_conventions=False,
    )


def type_name(message: Any) -> str:
    """ROS name of a message's type, such as `sensor_msgs/msg/CameraInfo`."""
    return str(message.__msgtype__)


def serialize(message: Any) -> bytes:
    """CDR bytes of a message, encapsulation header included."""
    return bytes(TYPESTORE.serialize_cdr(message, type_name(message)))


def header(stamp_ns: int, frame_id: str) -> Any:
    """std_msgs/Header of a stamp in nanoseconds."""
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    stamp = new_message("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)
    return new_message("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)


def new_message(type_name: str, **values: Any) -> Any:
    """A message of any type from all its fields."""
    return TYPESTORE.types[type_name](**values)


def vector(values: Iterable[float]) -> Any:
    """geometry_msgs/Vector3."""
    x, y, z = (float(value) for value in values)
    return new_message("geometry_msgs/msg/Vector3", x=x, y=y, z=z)


def quaternion(rotation: Quaternion) -> Any:
    """geometry_msgs/Quaternion of a rotation, normalised."""
    unit = rotation.normalised
    return new_message("geometry_msgs/msg/Quaternion", x=unit.x, y=unit.y, z=unit.z, w=unit.w)


def pose(parent_from_child: Tensor) -> Any:
    """geometry_msgs/Pose."""
    matrix = parent_from_child.numpy()
    x, y, z = (float(value) for value in matrix[:3, 3])
    return new_message(
        "geometry_msgs/msg/Pose",
        position=new_message("geometry_msgs/msg/Point", x=x, y=y, z=z),
        orientation=quaternion(Quaternion(matrix=matrix[:3, :3])),
    )


def compressed_image(stamp_ns: int, frame_id: str, jpeg: bytes) -> Any:
    """sensor_msgs/CompressedImage around the bytes of a JPEG file, untouched."""
    return new_message(
        "sensor_msgs/msg/CompressedImage",
        header=header(stamp_ns, frame_id),
        format="jpeg",
        data=np.frombuffer(jpeg, dtype=np.uint8),
    )


def camera_info(
    stamp_ns: int, frame_id: str, intrinsics: Tensor, image_size: tuple[int, int]
) -> Any:
    """sensor_msgs/CameraInfo of a rectified camera.

    Args:
        stamp_ns: The image's stamp, nanoseconds.
        frame_id: The camera's optical frame.
        intrinsics: float64 [3, 3], pixels.
        image_size: (height, width), pixels.
    """
    matrix = intrinsics.numpy()
    projection = np.zeros((3, 4))
    projection[:, :3] = matrix
    return new_message(
        "sensor_msgs/msg/CameraInfo",
        header=header(stamp_ns, frame_id),
        height=image_size[0],
        width=image_size[1],
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=matrix.ravel(),
        r=np.eye(3).ravel(),
        p=projection.ravel(),
        binning_x=0,
        binning_y=0,
        roi=new_message(
            "sensor_msgs/msg/RegionOfInterest",
            x_offset=0,
            y_offset=0,
            height=0,
            width=0,
            do_rectify=False,
        ),
    )


def transform(stamp_ns: int, parent: str, child: str, parent_from_child: Tensor) -> Any:
    """geometry_msgs/TransformStamped of one pose."""
    matrix = parent_from_child.numpy()
    return new_message(
        "geometry_msgs/msg/TransformStamped",
        header=header(stamp_ns, parent),
        child_frame_id=child,
        transform=new_message(
            "geometry_msgs/msg/Transform",
            translation=vector(matrix[:3, 3]),
            rotation=quaternion(Quaternion(matrix=matrix[:3, :3])),
        ),
    )


def tf_message(transforms: list[Any]) -> Any:
    """tf2_msgs/TFMessage of some transforms."""
    return new_message("tf2_msgs/msg/TFMessage", transforms=transforms)
