"""The cameras and tf of the ROS latency benchmark, in a process of their own.

Waits for the node and whoever listens to it, then fires all cameras at a rate. It ends by writing
one line of JSON: for every frame its stamp, and when (monotonic clock, s) it was sent.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

import cv2
import numpy as np
import rclpy
from geometry_msgs.msg import TransformStamped
from inference_stream import FrameStream, image_size
from numpy.typing import NDArray
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from gfocc_ros.compat import tf
from gfocc_ros.messages import stamp_from_nanoseconds

DIFFERENT_FRAMES = 3
JPEG_QUALITY = 92
SPEED = 8.0
"""m/s"""
CONNECT_TIMEOUT_S = 120.0

CameraMessage: TypeAlias = Image | CompressedImage


class Vehicle:
    """Publishers of cameras that look around and of tf; its images are made beforehand."""

    def __init__(self, node: Node, cameras: Sequence[str], size: tuple[int, int], raw: bool):
        self._node = node
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        kind, suffix = (Image, "") if raw else (CompressedImage, "/compressed")
        drivers = [_driver(camera) for camera in cameras]
        self._images = [
            driver.create_publisher(kind, f"/{camera}/image_rect{suffix}", qos)
            for camera, driver in zip(cameras, drivers, strict=True)
        ]
        self._infos = [
            driver.create_publisher(CameraInfo, f"/{camera}/camera_info", qos)
            for camera, driver in zip(cameras, drivers, strict=True)
        ]
        self._tf = tf.TransformBroadcaster(node)
        self._mounts = tf.StaticTransformBroadcaster(node)
        stream = FrameStream(len(cameras), size)
        frames = [stream.frame(number) for number in range(DIFFERENT_FRAMES)]
        self._messages = [
            [
                _image(image.numpy(), f"{camera}_frame", raw)
                for camera, image in zip(cameras, frame.images, strict=True)
            ]
            for frame in frames
        ]
        rig = frames[0].rig
        self._calibrations = [
            _camera_info(f"{camera}_frame", size, intrinsics.flatten().tolist())
            for camera, intrinsics in zip(cameras, rig.intrinsics, strict=True)
        ]
        self._mounts.sendTransform(
            [
                _mount(f"{camera}_frame", pose.double().numpy())
                for camera, pose in zip(cameras, rig.ego_from_cam, strict=True)
            ]
        )

    @property
    def image_bytes(self) -> float:
        """Mean size of an image message's data."""
        sizes = [len(message.data) for frame in self._messages for message in frame]
        return float(np.mean(sizes))

    def is_connected(self) -> bool:
        """Whether the node hears every camera and tf, and somebody hears the node."""
        return (
            all(it.get_subscription_count() for it in (*self._images, *self._infos))
            and self._node.count_subscribers("/tf") > 0
            and self._node.count_subscribers("/occupancy/occupancy") > 0
        )

    def fire(self, number: int, stamp_ns: int) -> None:
        """Send the images of all cameras, taken at one moment."""
        stamp = stamp_from_nanoseconds(stamp_ns)
        messages = self._messages[number % DIFFERENT_FRAMES]
        for publisher, info in zip(self._infos, self._calibrations, strict=True):
            info.header.stamp = stamp
            publisher.publish(info)
        for camera, message in zip(self._images, messages, strict=True):
            message.header.stamp = stamp
            camera.publish(message)

    def drive(self, rate_hz: float, is_over: Callable[[], bool]) -> None:
        """Send tf as odometry does, all the time."""
        began_ns = time.time_ns()
        while not is_over():
            stamp_ns = time.time_ns()
            pose = TransformStamped(child_frame_id="base_link")
            pose.header.frame_id = "odom"
            pose.header.stamp = stamp_from_nanoseconds(stamp_ns)
            pose.transform.translation.x = SPEED * (stamp_ns - began_ns) * 1e-9
            self._tf.sendTransform(pose)
            time.sleep(1 / rate_hz)


def _driver(camera: str) -> Node:
    """A DDS participant of its own, as cameras' drivers are.

    One for all would send a frame through one shared memory segment, which is too small for it.
    """
    context = Context()
    rclpy.init(context=context)
    return Node(f"driver_{camera}", context=context)


def _image(pixels: NDArray[np.uint8], frame_id: str, raw: bool) -> CameraMessage:
    message: CameraMessage
    if raw:
        height, width = pixels.shape[:2]
        message = Image(height=height, width=width, encoding="rgb8", step=3 * width)
        message.data = pixels.tobytes()
    else:
        quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        data = cv2.imencode(".jpg", np.ascontiguousarray(pixels[..., ::-1]), quality)[1]
        message = CompressedImage(format="jpeg", data=data.tobytes())
    message.header.frame_id = frame_id
    return message


def _camera_info(frame_id: str, size: tuple[int, int], k: list[float]) -> CameraInfo:
    height, width = size
    message = CameraInfo(height=height, width=width, distortion_model="plumb_bob", d=[0.0] * 5)
    message.header.frame_id = frame_id
    message.k = k
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [*k[0:3], 0.0, *k[3:6], 0.0, *k[6:9], 0.0]
    return message


def _mount(frame_id: str, pose: NDArray[np.float64]) -> TransformStamped:
    """The static link of a level camera from its pose [4, 4]."""
    link = TransformStamped(child_frame_id=frame_id)
    link.header.frame_id = "base_link"
    place, turn = link.transform.translation, link.transform.rotation
    place.x, place.y, place.z = (float(value) for value in pose[:3, 3])
    half_yaw = 0.5 * np.arctan2(pose[1, 2], pose[0, 2])
    c, s = 0.5 * float(np.cos(half_yaw)), 0.5 * float(np.sin(half_yaw))
    # yaw * (0.5, -0.5, 0.5, -0.5), which turns optical axes to those of a camera that looks ahead
    turn.w, turn.x, turn.y, turn.z = c + s, -c - s, c - s, s - c
    return link


def main() -> None:
    parser = argparse.ArgumentParser(description="cameras and tf of the ROS latency benchmark")
    parser.add_argument("--cameras", nargs="+", required=True)
    parser.add_argument("--size", type=image_size, required=True)
    parser.add_argument("--raw", action="store_true")
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--tf-rate", type=float, required=True, help="Hz")
    parser.add_argument("--image-age", type=float, required=True, help="of stamps, ms")
    parser.add_argument("--frames", type=int, required=True)
    given = parser.parse_args()
    rclpy.init()
    node = Node("cameras")
    vehicle = Vehicle(node, given.cameras, given.size, given.raw)
    over = threading.Event()
    driver = threading.Thread(target=vehicle.drive, args=(given.tf_rate, over.is_set))
    driver.start()
    try:
        sent = _send(vehicle, given.rate, given.frames, given.image_age)
    finally:
        over.set()
        driver.join()
    print(json.dumps({"image_bytes": vehicle.image_bytes, "sent": sent}), flush=True)


def _send(
    vehicle: Vehicle, rate: float, frames: int, image_age_ms: float
) -> list[dict[str, float]]:
    deadline = time.monotonic() + CONNECT_TIMEOUT_S
    while not vehicle.is_connected():
        if time.monotonic() > deadline:
            sys.exit("the node never connected")
        time.sleep(0.05)
    time.sleep(0.5)  # both sides know of each other, their data channels may need a moment more
    sent = []
    began = time.monotonic()
    for number in range(frames):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        stamp_ns, fired = time.time_ns() - round(image_age_ms * 1e6), time.monotonic()
        vehicle.fire(number, stamp_ns)
        sent.append({"stamp_ns": stamp_ns, "fired": fired, "sent": time.monotonic()})
    time.sleep(3 / rate + 1.0)  # for the last answers, which need tf
    return sent


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, ExternalShutdownException):
        sys.exit(1)
