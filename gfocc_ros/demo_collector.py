"""What a user of the node would see: collects its outputs and the images they belong to, over DDS."""

from __future__ import annotations

import functools
import threading
import time
from collections import deque

import rclpy
from nav_msgs.msg import OccupancyGrid
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, PointCloud2

from gfocc_core.frame import Frame
from gfocc_ros.camera_stream import StampedImage
from gfocc_ros.drops import DropCounters
from gfocc_ros.frame_assembler import ImageSet
from gfocc_ros.frame_builder import FrameBuilder, ImageMessage
from gfocc_ros.messages import nanoseconds_from_stamp
from gfocc_ros.transforms import TransformPoses

REMEMBERED_IMAGES = 40
"""Images kept per camera: some seconds of a 12 Hz camera."""
TF_TIMEOUT_S = 1.0


class DemoCollector:
    """Subscribes like any other program; spins in its own thread until closed."""

    def __init__(
        self, cameras: tuple[str, ...], reference_camera: str, fixed_frame: str, base_frame: str
    ) -> None:
        self.clouds: list[PointCloud2] = []
        self.grids: list[OccupancyGrid] = []
        self.latencies_ms: list[float] = []
        self.frames = 0
        self._cameras, self._reference = cameras, reference_camera
        self._images: dict[str, deque[StampedImage[ImageMessage]]] = {
            camera: deque(maxlen=REMEMBERED_IMAGES) for camera in cameras
        }
        self._infos: dict[str, CameraInfo] = {}
        self._arrivals: dict[int, float] = {}
        self._node = rclpy.create_node("gfocc_demo")
        self._poses = TransformPoses(
            self._node, fixed_frame=fixed_frame, base_frame=base_frame, timeout_s=TF_TIMEOUT_S
        )
        self._subscribe()
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name="collector", daemon=True)
        self._thread.start()

    def node_is_ready(self) -> bool:
        """Whether the occupancy node advertises its output and listens to every camera."""
        listening = all(
            self._node.count_subscribers(_image_topic(camera)) >= 2 for camera in self._cameras
        )
        return listening and self._node.count_publishers("/occupancy/occupancy") > 0

    def frame_of(self, cloud: PointCloud2, slop_s: float) -> Frame | None:
        """The images, calibration and poses that a cloud was made from, as they came over DDS."""
        stamp_ns = nanoseconds_from_stamp(cloud.header.stamp)
        nearest = {
            camera: min(images, key=lambda image: abs(image.stamp_ns - stamp_ns))
            for camera, images in self._images.items()
            if images
        }
        chosen = {
            camera: image
            for camera, image in nearest.items()
            if abs(image.stamp_ns - stamp_ns) <= slop_s * 1e9
        }
        builder = FrameBuilder(self._cameras, 1, self._poses, DropCounters())
        try:
            return builder.build(ImageSet(stamp_ns, 0.0, chosen, 0), self._infos)
        finally:
            builder.close()

    def close(self) -> None:
        """Stop spinning and leave the graph."""
        self._executor.shutdown()
        self._thread.join()
        self._node.destroy_node()

    def _subscribe(self) -> None:
        for camera in self._cameras:
            self._node.create_subscription(
                CompressedImage,
                _image_topic(camera),
                functools.partial(self._on_image, camera),
                qos_profile_sensor_data,
            )
            self._node.create_subscription(
                CameraInfo,
                f"/{camera}/camera_info",
                functools.partial(self._infos.__setitem__, camera),
                qos_profile_sensor_data,
            )
        self._node.create_subscription(PointCloud2, "/occupancy/occupancy", self._on_cloud, 10)
        self._node.create_subscription(OccupancyGrid, "/occupancy/grid", self.grids.append, 10)

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return

    def _on_image(self, camera: str, message: CompressedImage) -> None:
        stamp_ns, now = nanoseconds_from_stamp(message.header.stamp), time.monotonic()
        self._images[camera].append(StampedImage(stamp_ns, now, message))
        if camera == self._reference:
            self._arrivals[stamp_ns] = now
            self.frames += 1

    def _on_cloud(self, message: PointCloud2) -> None:
        arrived = self._arrivals.get(nanoseconds_from_stamp(message.header.stamp))
        if arrived is not None:
            self.latencies_ms.append((time.monotonic() - arrived) * 1e3)
        self.clouds.append(message)


def _image_topic(camera: str) -> str:
    return f"/{camera}/image_rect/compressed"
