"""A vehicle with cameras and tf, published over DDS from the test's process, and an ear."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType

import rclpy
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import OccupancyGrid
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from gfocc_ros.compat import tf
from gfocc_ros.messages import nanoseconds_from_stamp, stamp_from_nanoseconds
from tests.ros.camera_messages import camera_info, compressed_image, raw_image

MS = 1_000_000
OFFSETS = {
    "cam_front_left": -8 * MS,
    "cam_front": 0,
    "cam_front_right": 8 * MS,
    "cam_back_left": 35 * MS,
    "cam_back": 25 * MS,
    "cam_back_right": 15 * MS,
}
"""When each camera fires relative to the reference, as on nuScenes' vehicles."""
TIMEOUT_S = 30.0

CameraMessages = tuple[Image | CompressedImage | None, CameraInfo]


class CameraWorld:
    """Sends frames at stamps of its own making and hears what the node answers."""

    def __init__(self, namespace: str = "/", raw: bool = False) -> None:
        self.stamp_ns = 1_532_402_927_612_460_123
        self.clouds: dict[int, PointCloud2] = {}
        self.grids: dict[int, OccupancyGrid] = {}
        self._raw = raw
        self._context = Context()
        rclpy.init(context=self._context)
        self.node = Node("world", namespace=namespace, context=self._context)
        kind, suffix = (Image, "") if raw else (CompressedImage, "/compressed")
        self._images = {
            c: self.node.create_publisher(kind, f"{c}/image_rect{suffix}", 5) for c in OFFSETS
        }
        self._infos = {
            c: self.node.create_publisher(CameraInfo, f"{c}/camera_info", 5) for c in OFFSETS
        }
        self._tf = tf.TransformBroadcaster(self.node)
        self._mounts = tf.StaticTransformBroadcaster(self.node)
        self._mounts.sendTransform([_mount(camera) for camera in OFFSETS])
        self.node.create_subscription(PointCloud2, "occupancy/occupancy", self._on_cloud, 5)
        self.node.create_subscription(OccupancyGrid, "occupancy/grid", self._on_grid, 5)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def __enter__(self) -> CameraWorld:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType
    ) -> None:
        self._executor.shutdown()
        self._thread.join(5)
        self.node.destroy_node()
        self._context.try_shutdown()

    def wait_for_node(self) -> None:
        """Until every topic of the node and of this world has found its other side."""
        publishers = [*self._images.values(), *self._infos.values()]
        self.wait_for(
            lambda: (
                all(p.get_subscription_count() for p in publishers)
                and self.node.count_publishers("occupancy/occupancy") > 0
                and self.node.count_publishers("occupancy/grid") > 0
                and self.node.count_subscribers("/tf") > 0
            ),
            "the node to connect",
        )

    def send_until(self, condition: Callable[[], bool], what: str) -> None:
        """Send frame after frame: the first ones may be lost while both sides still connect."""

        def sent_and_met() -> bool:
            self.send(self.messages())
            deadline = time.monotonic() + 1.0
            while not condition() and time.monotonic() < deadline:
                time.sleep(0.01)
            return condition()

        self.wait_for(sent_and_met, what)

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            time.sleep(0.01)

    def messages(self, silent: tuple[str, ...] = ()) -> dict[str, CameraMessages]:
        """Every camera's messages of a frame half a second after the last one."""
        self.stamp_ns += 500 * MS
        make = raw_image if self._raw else compressed_image
        return {
            camera: (
                None if camera in silent else make(camera, self.stamp_ns + offset),
                camera_info(camera, self.stamp_ns + offset),
            )
            for camera, offset in OFFSETS.items()
        }

    def send(self, messages: Mapping[str, CameraMessages]) -> int:
        """Publish a frame and the tf around it; returns the reference stamp in ns."""
        for stamp_ns in (self.stamp_ns - 100 * MS, self.stamp_ns, self.stamp_ns + 100 * MS):
            self._tf.sendTransform(_vehicle(stamp_ns))
        for camera in sorted(messages, key=lambda name: OFFSETS[name]):
            image, info = messages[camera]
            self._infos[camera].publish(info)
            if image is not None:
                self._images[camera].publish(image)
        return self.stamp_ns

    def answer(
        self,
        silent: tuple[str, ...] = (),
        change: Callable[[dict[str, CameraMessages]], None] | None = None,
    ) -> tuple[PointCloud2, OccupancyGrid]:
        """Send one frame and wait for its cloud and grid."""
        messages = self.messages(silent)
        if change is not None:
            change(messages)
        stamp_ns = self.send(messages)
        self.wait_for(
            lambda: stamp_ns in self.clouds and stamp_ns in self.grids,
            f"outputs at {stamp_ns}, heard {sorted(self.clouds)}",
        )
        return self.clouds[stamp_ns], self.grids[stamp_ns]

    def _on_cloud(self, cloud: PointCloud2) -> None:
        self.clouds[nanoseconds_from_stamp(cloud.header.stamp)] = cloud

    def _on_grid(self, grid: OccupancyGrid) -> None:
        self.grids[nanoseconds_from_stamp(grid.header.stamp)] = grid

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except rclpy.executors.ExternalShutdownException:
            return


def _mount(camera: str) -> TransformStamped:
    mount = TransformStamped(child_frame_id=f"{camera}_optical_frame")
    mount.header.frame_id = "base_link"
    mount.transform.translation.z = 1.5
    rotation = mount.transform.rotation  # looking ahead: optical z along the vehicle's x
    rotation.x, rotation.y, rotation.z, rotation.w = -0.5, 0.5, -0.5, 0.5
    return mount


def _vehicle(stamp_ns: int) -> TransformStamped:
    pose = TransformStamped(child_frame_id="base_link")
    pose.header.frame_id = "odom"
    pose.header.stamp = stamp_from_nanoseconds(stamp_ns)
    pose.transform.translation.x = (stamp_ns % 10**12) * 1e-9
    return pose
