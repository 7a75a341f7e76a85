"""Readings of cameras, lidars and radars as the ROS messages their drivers would publish."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from PIL import Image, UnidentifiedImageError

from gfocc_core.data.scenes import DatasetError
from gfocc_core.data.sensors import (
    Record,
    camera_intrinsics,
    file_of,
    image_size_of,
    read_file,
    stamp_ns_of,
)
from gfocc_ros.bags.clouds import lidar_points, point_cloud
from gfocc_ros.bags.content import CAMERAS, LIDAR, RADAR
from gfocc_ros.bags.messages import camera_info, compressed_image
from gfocc_ros.bags.radar import radar_points

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

GROUP_OF_MODALITY: Final = {"camera": CAMERAS, "lidar": LIDAR, "radar": RADAR}
"""Which choice of bag_content a sensor belongs to, by nuScenes' name of its kind."""


@dataclass(frozen=True)
class TimedMessage:
    """One message of a bag."""

    stamp_ns: int
    topic: str
    message: Any
    """A message object of rosbags."""
    ends_file: bool = False
    """Whether a sensor's file is done with it."""


def image_topic(channel: str) -> str:
    """Topic of a camera's JPEG images."""
    return f"/{channel.lower()}/image_rect/compressed"


def camera_info_topic(channel: str) -> str:
    """Topic of a camera's calibration."""
    return f"/{channel.lower()}/camera_info"


def points_topic(channel: str) -> str:
    """Topic of a lidar's or a radar's clouds."""
    return f"/{channel.lower()}/points"


def sensor_frame(channel: str, modality: str) -> str:
    """Name of a sensor's frame; a camera's is its optical frame (x right, y down, z forward)."""
    return f"{channel.lower()}_optical_frame" if modality == "camera" else channel.lower()


def sensor_messages(nusc: NuScenes, reading: Record) -> Iterator[TimedMessage]:
    """The messages of one reading, whose file is read and checked.

    Raises:
        DatasetError: the file is missing or damaged, or its record contradicts it.
    """
    stamp_ns, channel, modality = stamp_ns_of(reading), reading["channel"], _modality(reading)
    frame_id = sensor_frame(channel, modality)
    name = f"{modality} file '{file_of(nusc, reading)}'"
    if modality == "camera":
        size = image_size_of(reading)
        info = camera_info(stamp_ns, frame_id, camera_intrinsics(nusc, reading), size)
        yield TimedMessage(stamp_ns, camera_info_topic(channel), info)
        jpeg = read_file(nusc, reading)
        _check_jpeg(jpeg, size, f"image '{file_of(nusc, reading)}'")
        image = compressed_image(stamp_ns, frame_id, jpeg)
        yield TimedMessage(stamp_ns, image_topic(channel), image, ends_file=True)
        return
    read_points = lidar_points if modality == "lidar" else radar_points
    points = read_points(read_file(nusc, reading), name)
    cloud = point_cloud(stamp_ns, frame_id, points)
    yield TimedMessage(stamp_ns, points_topic(channel), cloud, ends_file=True)


def group_of(reading: Record) -> str:
    """The choice of bag_content that a reading belongs to."""
    return GROUP_OF_MODALITY[_modality(reading)]


def _modality(reading: Record) -> str:
    modality = str(reading["sensor_modality"])
    if modality not in GROUP_OF_MODALITY:
        raise DatasetError(
            f"modality of sensor {reading['channel']} must be one of "
            f"{', '.join(GROUP_OF_MODALITY)}, got '{modality}'"
        )
    return modality


def _check_jpeg(data: bytes, size: tuple[int, int], name: str) -> None:
    """Whether the bytes are a whole JPEG of (height, width): decoded at 1/8 size, which is cheap."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            found = image.size
            image.draft("RGB", (image.width // 8, image.height // 8))
            image.load()
    except UnidentifiedImageError:
        raise DatasetError(f"{name} is corrupt: not a JPEG") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise DatasetError(f"{name} is corrupt: {error}") from error
    if found != (size[1], size[0]):
        raise DatasetError(
            f"{name} is {found[0]}x{found[1]}, but sample_data says {size[1]}x{size[0]}"
        )
