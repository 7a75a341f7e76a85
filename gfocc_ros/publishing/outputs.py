"""The node's topics: what is listened to and due is built from each prediction and sent."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any

import torch
from nav_msgs.msg import OccupancyGrid
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import String
from visualization_msgs.msg import MarkerArray

from gfocc_core.frame import Occupancy
from gfocc_core.grid import VoxelGrid
from gfocc_core.taxonomy import FREE_ID
from gfocc_ros.publishing.box_markers import BoxMarkers
from gfocc_ros.publishing.class_messages import classes_message
from gfocc_ros.publishing.cloud_messages import cloud_message, forecast_message
from gfocc_ros.publishing.gaussian_markers import GaussianMarkers
from gfocc_ros.publishing.grid_messages import grid_message
from gfocc_ros.publishing.occupied_voxels import OccupiedVoxels, occupied_voxels
from gfocc_ros.publishing.output_publishers import (
    destroy_publisher,
    latched_publisher,
    managed_publisher,
    mismatch_sentence,
)
from gfocc_ros.publishing.output_settings import OutputSettings
from gfocc_ros.publishing.prediction import Prediction, Wanted
from gfocc_ros.publishing.rate_limit import RateLimit
from gfocc_ros.qos_mismatches import QosMismatches

__all__ = ["CLASSES_TOPIC", "FRAME_TOPICS", "OutputSettings", "Outputs"]

FORECAST_TOPIC = "forecast"
FRAME_TOPICS: MappingProxyType[str, type[Any]] = MappingProxyType(
    {
        "occupancy": PointCloud2,
        "grid": OccupancyGrid,
        "markers": MarkerArray,
        "gaussians": MarkerArray,
        FORECAST_TOPIC: PointCloud2,
    }
)
"""Private topics (`~/<name>`) that are sent per frame, in this order."""

CLASSES_TOPIC = "classes"
"""Private topic that is sent once and latched."""


class Outputs:
    """Advertises on construction. All methods but `mismatches`, which belongs to the thread that
    spins the node, and `destroy` belong to one thread.

    Args:
        node: a Node, or a LifecycleNode that activates what was created on it.
        settings: may be replaced at any time, from any thread.
    """

    def __init__(self, node: Node, settings: OutputSettings) -> None:
        self.settings = settings
        self._node = node
        self._mismatches = QosMismatches(node, mismatch_sentence)
        self._publishers: dict[str, Publisher[Any]] = {
            topic: managed_publisher(node, message_type, f"~/{topic}", self._mismatches)
            for topic, message_type in FRAME_TOPICS.items()
        }
        self._limits = {topic: RateLimit() for topic in FRAME_TOPICS}
        self._asked_for: set[str] | None = None
        self._boxes = BoxMarkers()
        self._ellipsoids = GaussianMarkers()
        self._classes = latched_publisher(node, String, f"~/{CLASSES_TOPIC}", self._mismatches)
        self._classes.publish(classes_message())

    def wanted(self, now_s: float) -> Wanted:
        """What the frame that is about to be predicted has to hold (seconds of any clock).

        What is published until the next call goes to the topics found due here: those that the
        frame was predicted for. Without any call it goes to those that are due then.
        """
        self._asked_for = {topic for topic in FRAME_TOPICS if self._is_due(topic, now_s)}
        return Wanted(
            velocity="occupancy" in self._asked_for,
            gaussians="gaussians" in self._asked_for,
            forecast=FORECAST_TOPIC in self._asked_for,
        )

    def publish(self, prediction: Prediction, now_s: float) -> None:
        """Build and send all but the forecast."""
        job = _MessageBuilder(prediction, self.settings, self._boxes, self._ellipsoids)
        for topic in FRAME_TOPICS:
            if topic != FORECAST_TOPIC and self._is_asked_for(topic, now_s):
                self._send(topic, job.build(topic), now_s)

    def publish_forecast(self, forecasts: Sequence[Occupancy], stamp_ns: int, now_s: float) -> None:
        """Send occupancy at later stamps, nearest first, foreseen at `stamp_ns`."""
        if forecasts and self._is_asked_for(FORECAST_TOPIC, now_s):
            message = forecast_message(forecasts, stamp_ns, self.settings.base_frame)
            self._send(FORECAST_TOPIC, message, now_s)

    def warm_up(self, grid: VoxelGrid, device: torch.device) -> None:
        """Build a cloud that nobody gets, so that a GPU has loaded what the first real one needs."""
        labels = torch.full(grid.shape, FREE_ID, dtype=torch.uint8, device=device)
        labels[0] = 0
        density = torch.ones(grid.shape, device=device)
        velocity = torch.zeros(*grid.shape, 3, device=device)
        cloud_message(occupied_voxels(Occupancy(labels, density, velocity, grid, 0)), "")

    def mismatches(self) -> tuple[str, ...]:
        """A sentence for each topic with a subscription whose QoS does not fit at the moment."""
        return self._mismatches.sentences()

    def destroy(self) -> None:
        """Take the topics back; `wanted` and `publish` must not be called any more."""
        for publisher in (*self._publishers.values(), self._classes):
            destroy_publisher(self._node, publisher)
        self._mismatches.destroy()

    def _is_asked_for(self, topic: str, now_s: float) -> bool:
        if self._asked_for is None:
            return self._is_due(topic, now_s)
        return topic in self._asked_for and self._has_listener(topic)

    def _is_due(self, topic: str, now_s: float) -> bool:
        rate_hz = self.settings.rate_hz(topic)
        return self._has_listener(topic) and self._limits[topic].is_due(rate_hz, now_s)

    def _send(self, topic: str, message: Any, now_s: float) -> None:
        if message is not None:
            self._publishers[topic].publish(message)
            self._limits[topic].passed(self.settings.rate_hz(topic), now_s)

    def _has_listener(self, topic: str) -> bool:
        return self._publishers[topic].get_subscription_count() > 0


class _MessageBuilder:
    """One prediction to the messages of several topics; what they share is computed once."""

    def __init__(
        self,
        prediction: Prediction,
        settings: OutputSettings,
        boxes: BoxMarkers,
        ellipsoids: GaussianMarkers,
    ) -> None:
        self.settings = settings
        self._prediction = prediction
        self._boxes = boxes
        self._ellipsoids = ellipsoids

    def build(self, topic: str) -> PointCloud2 | OccupancyGrid | bytes | None:
        """The topic's message, possibly serialized; None if the prediction lacks what it shows."""
        prediction, settings = self._prediction, self.settings
        occupancy, frame_id = prediction.occupancy, settings.base_frame
        if topic == "occupancy":
            return cloud_message(self._voxels, frame_id)
        if topic == "grid":
            low, high = settings.grid_min_height_m, settings.grid_max_height_m
            return grid_message(self._voxels, frame_id, low, high)
        if topic == "markers":
            return self._boxes.message(self._voxels, frame_id)
        if topic == "gaussians" and prediction.gaussians is not None:
            min_opacity = settings.gaussians_min_opacity
            return self._ellipsoids.message(
                prediction.gaussians, occupancy.stamp_ns, frame_id, min_opacity
            )
        return None

    @cached_property
    def _voxels(self) -> OccupiedVoxels:
        return occupied_voxels(self._prediction.occupancy)
