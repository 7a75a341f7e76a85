"""Bags of a small robot, message by message: what its cameras, odometry and tf would have sent."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from rosbags.rosbag2 import Reader

from gfocc_ros.bags.file import write_bag
from gfocc_ros.bags.messages import header, new_message, offered_qos, tf_message
from gfocc_ros.bags.sensors import TimedMessage

START_NS = 1_700_000_000_000_000_123
WIDTH, HEIGHT = 64, 48
K = (40.0, 0.0, 31.0, 0.0, 41.0, 24.0, 0.0, 0.0, 1.0)
P = (38.0, 0.0, 30.0, 0.0, 0.0, 39.0, 23.0, 0.0, 0.0, 0.0, 1.0, 0.0)
OPTICAL = (-0.5, 0.5, -0.5, 0.5)
"""x, y, z, w of a camera that looks forward."""

Pixels = npt.NDArray[np.uint8]
Build = Callable[[], list[TimedMessage]]


def at(seconds: float) -> int:
    return START_NS + round(seconds * 1e9)


def jpeg(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def compressed(stamp_ns: int, frame_id: str, data: bytes) -> Any:
    return new_message(
        "sensor_msgs/msg/CompressedImage",
        header=header(stamp_ns, frame_id),
        format="jpeg",
        data=np.frombuffer(data, np.uint8),
    )


def raw(stamp_ns: int, frame_id: str, pixels: Pixels, encoding: str = "rgb8") -> Any:
    height, width, channels = pixels.shape
    return new_message(
        "sensor_msgs/msg/Image",
        header=header(stamp_ns, frame_id),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=width * channels,
        data=pixels.ravel(),
    )


def camera_info(stamp_ns: int, **changes: Any) -> Any:
    """CameraInfo with another P than K, and D (both only told to those who rectify)."""
    region = {"x_offset": 0, "y_offset": 0, "height": 0, "width": 0, "do_rectify": False}
    values = {
        "header": header(stamp_ns, "any"),
        "height": HEIGHT,
        "width": WIDTH,
        "distortion_model": "plumb_bob",
        "d": np.array([-0.2, 0.05, 0.001, -0.002, 0.0]),
        "k": np.array(K),
        "r": np.eye(3).ravel(),
        "p": np.array(P),
        "binning_x": 0,
        "binning_y": 0,
        "roi": new_message("sensor_msgs/msg/RegionOfInterest", **region),
    }
    return new_message("sensor_msgs/msg/CameraInfo", **(values | changes))


def link(
    stamp_ns: int,
    parent: str,
    child: str,
    translation: Sequence[float] = (0.0, 0.0, 0.0),
    rotation: Sequence[float] = (0.0, 0.0, 0.0, 1.0),
) -> Any:
    """geometry_msgs/TransformStamped; the rotation is x, y, z, w."""
    return new_message(
        "geometry_msgs/msg/TransformStamped",
        header=header(stamp_ns, parent),
        child_frame_id=child,
        transform=new_message(
            "geometry_msgs/msg/Transform",
            translation=new_message(
                "geometry_msgs/msg/Vector3", **dict(zip("xyz", translation, strict=True))
            ),
            rotation=new_message(
                "geometry_msgs/msg/Quaternion", **dict(zip("xyzw", rotation, strict=True))
            ),
        ),
    )


@dataclass
class RobotBag:
    """Messages to write; by default a camera `front` on a mast, driven straight ahead for 2 s."""

    messages: list[TimedMessage] = field(default_factory=list)

    def add(self, seconds: float, topic: str, message: Any) -> None:
        """The bag notes it 5 ms after its stamp."""
        self.messages.append(TimedMessage(at(seconds + 0.005), topic, message))

    def drive(self, until: float = 2.0) -> RobotBag:
        """odom -> base_link at 20 Hz, 3 m/s."""
        for seconds in np.arange(0, until, 0.05):
            moved = link(at(seconds), "odom", "base_link", (3 * seconds, 0.0, 0.0))
            self.add(seconds, "/tf", tf_message([moved]))
        return self

    def mount(self, *links: Any) -> RobotBag:
        self.add(0, "/tf_static", tf_message(list(links)))
        return self

    def camera(
        self, topic: str, images: Iterable[tuple[float, Any]], infos: Iterable[Any] = ()
    ) -> RobotBag:
        """Images by their time on a topic, CameraInfo beside it."""
        for seconds, image in images:
            self.add(seconds, topic, image)
        parent = topic.removesuffix("/compressed").rsplit("/", 1)[0]
        for number, info in enumerate(infos):
            self.add(0.1 * number, f"{parent}/camera_info", info)
        return self

    def without(self, topic: str) -> RobotBag:
        return RobotBag([message for message in self.messages if message.topic != topic])

    def write(self, path: Path, storage: str = "mcap") -> Path:
        ordered = sorted(self.messages, key=lambda message: message.stamp_ns)
        write_bag(path, storage, {}, ordered, lambda topic: offered_qos(10))
        with Reader(path) as bag:
            assert bag.message_count == len(ordered)
        return path


MAST = link(0, "base_link", "mast", (0.5, 0.0, 1.0), (0.0, 0.0, 1.0, 0.0))  # turned by 180 degrees
LENS = link(0, "mast", "front_optical", (0.1, 0.2, 0.3), OPTICAL)
TIMES = tuple(0.1 * number for number in range(15))


def front_images() -> list[tuple[float, Any]]:
    return [(t, compressed(at(t), "front_optical", jpeg(n))) for n, t in enumerate(TIMES)]


def robot() -> RobotBag:
    """One rectified camera."""
    bag = RobotBag().drive().mount(MAST, LENS)
    return bag.camera("/front/image_rect/compressed", front_images(), [camera_info(at(0))])
