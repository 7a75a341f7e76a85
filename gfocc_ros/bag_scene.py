"""A nuScenes scene as the stream of ROS messages its vehicle would have published.

Frames: map -> odom -> base_link -> sensors. nuScenes' global frame is `map`; `odom` stands where
the vehicle was at the scene's first reading. Every reading of every sensor gives one pose.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image, UnidentifiedImageError
from rosbags.interfaces import Qos

from gfocc_core.data.scenes import DatasetError
from gfocc_core.data.sensors import (
    Record,
    calibration_of,
    camera_intrinsics,
    ego_from_sensor,
    file_of,
    global_from_ego,
    image_size_of,
    read_file,
    scene_readings,
    stamp_ns_of,
)
from gfocc_core.geometry import invert_transform
from gfocc_ros.bag_messages import (
    camera_info,
    compressed_image,
    offered_qos,
    tf_message,
    transform,
)

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

MAP_FRAME = "map"
ODOM_FRAME = "odom"
BASE_FRAME = "base_link"

TF_TOPIC = "/tf"
TF_STATIC_TOPIC = "/tf_static"


@dataclass(frozen=True)
class TimedMessage:
    """One message of the stream."""

    stamp_ns: int
    topic: str
    message: Any
    """A message object of rosbags."""
    is_image: bool = False


def image_topic(channel: str) -> str:
    """Topic of a camera's JPEG images."""
    return f"/{channel.lower()}/image_rect/compressed"


def camera_info_topic(channel: str) -> str:
    """Topic of a camera's calibration."""
    return f"/{channel.lower()}/camera_info"


def sensor_frame(channel: str, modality: str) -> str:
    """Name of a sensor's frame; a camera's is its optical frame (x right, y down, z forward)."""
    return f"{channel.lower()}_optical_frame" if modality == "camera" else channel.lower()


def topic_qos(topic: str) -> Qos:
    """The profile a topic is offered with; `/tf_static` is latched."""
    if topic == TF_STATIC_TOPIC:
        return offered_qos(depth=1, latched=True)
    return offered_qos(depth=100 if topic == TF_TOPIC else 10)


class SceneStream:
    """The messages of one scene in time order; iterating reads the images from disk.

    Raises:
        DatasetError: unknown scene or one without readings, contradicting calibration, and while
            iterating whatever is wrong with a record or an image (the message names it).
    """

    def __init__(self, nusc: NuScenes, scene_name: str) -> None:
        self._nusc = nusc
        self._readings: Sequence[Record] = scene_readings(nusc, scene_name)
        self.num_images = sum(record["sensor_modality"] == "camera" for record in self._readings)
        if not self.num_images:
            raise DatasetError(f"scene '{scene_name}' has no camera image")
        self._mounted = self._one_calibration_each()

    def __iter__(self) -> Iterator[TimedMessage]:
        start_ns = stamp_ns_of(self._readings[0])
        map_from_odom = global_from_ego(self._nusc, self._readings[0])
        odom_from_map = invert_transform(map_from_odom)
        yield self._static_transforms(start_ns)
        previous_ns = -1
        for reading in self._readings:
            stamp_ns = stamp_ns_of(reading)
            if stamp_ns != previous_ns:
                odom_from_base = odom_from_map @ global_from_ego(self._nusc, reading)
                chain = [
                    transform(stamp_ns, MAP_FRAME, ODOM_FRAME, map_from_odom),
                    transform(stamp_ns, ODOM_FRAME, BASE_FRAME, odom_from_base),
                ]
                yield TimedMessage(stamp_ns, TF_TOPIC, tf_message(chain))
                previous_ns = stamp_ns
            if reading["sensor_modality"] == "camera":
                yield from self._camera_messages(reading, stamp_ns)

    def _one_calibration_each(self) -> dict[str, Record]:
        mounted: dict[str, Record] = {}
        for reading in self._readings:
            first = mounted.setdefault(reading["channel"], reading)
            if first["calibrated_sensor_token"] != reading["calibrated_sensor_token"]:
                tokens = [calibration_of(self._nusc, r)["token"] for r in (first, reading)]
                raise DatasetError(
                    f"{reading['channel']} has two calibrations in one scene, '{tokens[0]}' and "
                    f"'{tokens[1]}'; static transforms can hold only one"
                )
        return mounted

    def _static_transforms(self, stamp_ns: int) -> TimedMessage:
        mounts = [
            transform(
                stamp_ns,
                BASE_FRAME,
                sensor_frame(channel, reading["sensor_modality"]),
                ego_from_sensor(self._nusc, reading),
            )
            for channel, reading in sorted(self._mounted.items())
        ]
        return TimedMessage(stamp_ns, TF_STATIC_TOPIC, tf_message(mounts))

    def _camera_messages(self, reading: Record, stamp_ns: int) -> Iterator[TimedMessage]:
        channel = reading["channel"]
        frame_id = sensor_frame(channel, "camera")
        size = image_size_of(reading)
        info = camera_info(stamp_ns, frame_id, camera_intrinsics(self._nusc, reading), size)
        yield TimedMessage(stamp_ns, camera_info_topic(channel), info)
        jpeg = read_file(self._nusc, reading)
        _check_jpeg(jpeg, size, f"image '{file_of(self._nusc, reading)}'")
        image = compressed_image(stamp_ns, frame_id, jpeg)
        yield TimedMessage(stamp_ns, image_topic(channel), image, is_image=True)


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
