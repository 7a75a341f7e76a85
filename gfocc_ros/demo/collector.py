"""What a user of the node would see: collects its outputs and the images they belong to, over DDS."""

from __future__ import annotations

import functools
import threading
import time
from collections import deque
from dataclasses import dataclass

import rclpy
from nav_msgs.msg import OccupancyGrid
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, PointCloud2

from gfocc_core.frame import Frame
from gfocc_ros.demo.poses import RememberedPoses
from gfocc_ros.frames.camera_stream import StampedImage
from gfocc_ros.frames.drops import DropCounters
from gfocc_ros.frames.frame_assembler import ImageSet
from gfocc_ros.frames.frame_builder import FrameBuilder, ImageMessage
from gfocc_ros.messages import nanoseconds_from_stamp
from gfocc_ros.tf.transforms import TransformPoses

REMEMBERED_IMAGES = 40
"""Images kept per camera: some seconds of a 12 Hz camera."""
TF_TIMEOUT_S = 1.0


@dataclass(frozen=True)
class Output:
    """One cloud of the node, and the images it was made from."""

    cloud: PointCloud2
    image_set: ImageSet[ImageMessage]
    latency_ms: float | None
    """From the arrival of the reference camera's image here; None if that never came."""

    @property
    def stamp_ns(self) -> int:
        return self.image_set.stamp_ns


class DemoCollector:
    """Subscribes like any other program; spins in its own thread until closed."""

    def __init__(
        self,
        cameras: tuple[str, ...],
        reference_camera: str,
        *,
        fixed_frame: str,
        base_frame: str,
        slop_s: float,
    ) -> None:
        self.outputs: list[Output] = []
        self.grids = 0
        self.frames = 0
        """Images of the reference camera: frames that the node could have made."""
        self._cameras, self._reference = cameras, reference_camera
        self._slop_ns = round(slop_s * 1e9)
        self._images: dict[str, deque[StampedImage[ImageMessage]]] = {
            camera: deque(maxlen=REMEMBERED_IMAGES) for camera in cameras
        }
        self._infos: dict[str, CameraInfo] = {}
        self._arrivals: dict[int, float] = {}
        self._learned = 0
        self._node = rclpy.create_node("gfocc_demo")
        self._poses = RememberedPoses(
            TransformPoses(
                self._node, fixed_frame=fixed_frame, base_frame=base_frame, timeout_s=TF_TIMEOUT_S
            )
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

    def learn_poses(self) -> None:
        """Look up the poses of new outputs while tf has them; call it every second or so."""
        while self._learned < len(self.outputs):
            self._poses.learn(self.outputs[self._learned].image_set, self._infos)
            self._learned += 1

    def frame_of(self, output: Output) -> Frame | None:
        """The images, calibration and poses that an output was made from, as they came over DDS."""
        builder = FrameBuilder(self._cameras, 1, self._poses, DropCounters())
        try:
            return builder.build(output.image_set, self._infos)
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
        self._node.create_subscription(OccupancyGrid, "/occupancy/grid", self._on_grid, 10)

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
        now, stamp_ns = time.monotonic(), nanoseconds_from_stamp(message.header.stamp)
        arrived = self._arrivals.get(stamp_ns)
        latency_ms = None if arrived is None else (now - arrived) * 1e3
        self.outputs.append(Output(message, self._images_around(stamp_ns), latency_ms))

    def _on_grid(self, message: OccupancyGrid) -> None:
        self.grids += 1

    def _images_around(self, stamp_ns: int) -> ImageSet[ImageMessage]:
        """Each camera's image nearest to a stamp, as the node chooses them."""
        nearest = {
            camera: min(images, key=lambda image: abs(image.stamp_ns - stamp_ns))
            for camera, images in self._images.items()
            if images
        }
        chosen = {
            camera: image
            for camera, image in nearest.items()
            if abs(image.stamp_ns - stamp_ns) <= self._slop_ns
        }
        return ImageSet(stamp_ns, 0.0, chosen, 0)


def _image_topic(camera: str) -> str:
    return f"/{camera}/image_rect/compressed"
