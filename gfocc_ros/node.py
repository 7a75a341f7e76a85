"""The ROS 2 node `occupancy`: camera images and tf in, 3D semantic occupancy out.

Only wires topics, timers and parameters to the pipeline; `occupancy_node` runs it.
config/occupancy.yaml describes its parameters.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

from nav_msgs.msg import OccupancyGrid
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from gfocc_core.config import preset
from gfocc_core.frame import Occupancy
from gfocc_core.predictor import OccupancyPredictor
from gfocc_ros.drops import QUIET_DROPS
from gfocc_ros.frame_builder import ImageMessage
from gfocc_ros.messages import cloud_message, grid_message
from gfocc_ros.parameters import (
    NodeParameters,
    ParameterError,
    declare_parameters,
    with_changes,
)
from gfocc_ros.pipeline import OccupancyPipeline
from gfocc_ros.transforms import TransformPoses

ASSEMBLY_TICK_S = 0.01
"""How often deadlines are looked at while a set of images waits for cameras."""
WARNING_PERIOD_S = 1.0
STOP_TIMEOUT_S = 1.0
"""How long a running prediction may hold up the exit."""


class OccupancyNode(Node):
    """Subscribes, predicts and publishes from construction until `stop`.

    Raises:
        ValueError: a parameter, the checkpoint or the device cannot be used.
    """

    def __init__(self) -> None:
        super().__init__("occupancy")
        self.parameters = declare_parameters(self)
        predictor = self._load_predictor()
        warm_up_s = predictor.warm_up()
        self._poses = TransformPoses(
            self,
            fixed_frame=self.parameters.fixed_frame,
            base_frame=self.parameters.base_frame,
            timeout_s=self.parameters.tf_timeout_s,
        )
        self._advertise()
        self._pipeline = OccupancyPipeline(self.parameters, predictor, self._poses, self._publish)
        self._reported_frames = 0
        self._start_timers()
        self._subscribe()
        self.add_on_set_parameters_callback(self._on_parameters)
        self.get_logger().info(
            f"ready: {len(self.parameters.cameras)} cameras "
            f"({self.parameters.image_transport}), network on {predictor.device}, "
            f"warmed up in {warm_up_s:.1f} s"
        )

    def stop(self) -> None:
        """Take no more frames; a prediction that runs is waited for a moment, then left alone."""
        self._pipeline.stop(STOP_TIMEOUT_S)

    def _load_predictor(self) -> OccupancyPredictor:
        if not self.parameters.checkpoint:
            self.get_logger().warning(
                "NO CHECKPOINT: the network has RANDOM WEIGHTS (preset "
                f"'{self.parameters.preset}') and its output is NOISE; set parameter 'checkpoint'"
            )
        return load_predictor(self.parameters)

    def _advertise(self) -> None:
        reliable = QoSProfile(
            history=HistoryPolicy.KEEP_LAST, depth=5, reliability=ReliabilityPolicy.RELIABLE
        )
        self._cloud_publisher = self.create_publisher(PointCloud2, "~/occupancy", reliable)
        self._grid_publisher = self.create_publisher(OccupancyGrid, "~/grid", reliable)

    def _start_timers(self) -> None:
        """On a steady clock: deadlines and reports must not stop with simulated time."""
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._deadline_timer = self.create_timer(ASSEMBLY_TICK_S, self._hand_over, clock=steady)
        self._deadline_timer.cancel()
        self.create_timer(WARNING_PERIOD_S, self._warn, clock=steady)
        self.create_timer(self.parameters.report_period_s, self._report, clock=steady)

    def _subscribe(self) -> None:
        sensor_data = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=self.parameters.queue_size,
            reliability=ReliabilityPolicy.BEST_EFFORT,
        )
        compressed = self.parameters.image_transport == "compressed"
        image_type = CompressedImage if compressed else Image
        suffix = "/compressed" if compressed else ""
        for camera in self.parameters.cameras:
            on_image = functools.partial(self._on_image, camera)
            on_info = functools.partial(self._pipeline.add_info, camera)
            self.create_subscription(
                image_type, f"{camera}/image_rect{suffix}", on_image, sensor_data
            )
            self.create_subscription(CameraInfo, f"{camera}/camera_info", on_info, sensor_data)

    def _on_image(self, camera: str, message: ImageMessage) -> None:
        if self._pipeline.add_image(camera, message):
            self._poses.clear()
            self.get_logger().warning(
                "time was set back: memory and tf start anew", throttle_duration_sec=1.0
            )
        self._hand_over()

    def _hand_over(self) -> None:
        if not self._pipeline.hand_over():
            self._deadline_timer.cancel()
        elif self._deadline_timer.is_canceled():
            self._deadline_timer.reset()

    def _publish(self, occupancy: Occupancy) -> None:
        """In the worker thread: build and send what someone listens to."""
        frame_id = self.parameters.base_frame
        if self._cloud_publisher.get_subscription_count():
            self._cloud_publisher.publish(cloud_message(occupancy, frame_id))
        if self._grid_publisher.get_subscription_count():
            self._grid_publisher.publish(grid_message(occupancy, frame_id))

    def _on_parameters(self, changes: list[Parameter[Any]]) -> SetParametersResult:
        try:
            self.parameters = with_changes(self.parameters, changes)
        except ParameterError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._pipeline.density_threshold = self.parameters.density_threshold
        return SetParametersResult(successful=True)

    def _warn(self) -> None:
        for reason, sentence in self._pipeline.drops.take_news().items():
            if reason in QUIET_DROPS:
                self.get_logger().debug(sentence)
            else:
                self.get_logger().warning(sentence)

    def _report(self) -> None:
        frames = self._pipeline.frames - self._reported_frames
        self._reported_frames += frames
        timings = (f"{name} {ms:.0f}" for name, ms in self._pipeline.timings_ms.items())
        drops = (f"{drop.value} {n}" for drop, n in self._pipeline.drops.totals().items())
        self.get_logger().info(
            f"{frames} frames ({frames / self.parameters.report_period_s:.1f} Hz), "
            f"last one's ms: {', '.join(timings) or 'none'}; "
            f"dropped since the start: {', '.join(drops) or 'nothing'}"
        )
        heard = self._pipeline.heard_cameras()
        unheard = [camera for camera in self.parameters.cameras if camera not in heard]
        if unheard:
            self.get_logger().warning(f"no image ever came from {', '.join(unheard)}")


def load_predictor(parameters: NodeParameters) -> OccupancyPredictor:
    """The network that the parameters ask for.

    Raises:
        ValueError: the checkpoint or the device cannot be used, or the checkpoint's network
            knows fewer cameras than are listed.
    """
    count = len(parameters.cameras)
    if not parameters.checkpoint:
        config = preset(parameters.preset)
        model = replace(config.model, cameras=max(count, config.model.cameras))
        return OccupancyPredictor.from_config(replace(config, model=model), parameters.device)
    predictor = OccupancyPredictor.from_checkpoint(parameters.checkpoint, parameters.device)
    if count > predictor.config.model.cameras:
        raise ParameterError(
            f"parameter 'cameras' lists {count} cameras, the network of checkpoint "
            f"'{parameters.checkpoint}' knows {predictor.config.model.cameras}"
        )
    return predictor
