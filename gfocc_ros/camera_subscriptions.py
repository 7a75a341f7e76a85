"""Subscriptions to every camera's images and calibration, and publishers whose QoS does not fit."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from gfocc_ros.frames.frame_builder import ImageMessage
from gfocc_ros.parameters.parameters import NodeParameters
from gfocc_ros.qos_mismatches import NO_SUBSCRIPTION_EVENTS, QosMismatches


class CameraSubscriptions:
    """Subscribes from construction until `destroy`.

    The QoS is that of sensor data; parameters `qos_overrides.<topic>.subscription.*` override it.
    """

    def __init__(
        self,
        node: Node,
        parameters: NodeParameters,
        on_image: Callable[[str, ImageMessage], None],
        on_info: Callable[[str, CameraInfo], None],
    ) -> None:
        self._node = node
        self._subscriptions: dict[str, Subscription[Any]] = {}
        self._mismatches = QosMismatches(node, _sentence)
        compressed = parameters.image_transport == "compressed"
        image_type = CompressedImage if compressed else Image
        suffix = "/compressed" if compressed else ""
        for camera in parameters.cameras:
            image_topic = f"{camera}/image_rect{suffix}"
            on_camera = functools.partial(on_image, camera)
            self._subscribe(image_type, image_topic, on_camera, parameters.queue_size)
            on_calibration = functools.partial(on_info, camera)
            self._subscribe(
                CameraInfo, f"{camera}/camera_info", on_calibration, parameters.queue_size
            )

    def mismatches(self) -> tuple[str, ...]:
        """A sentence for each topic whose publishers' QoS does not fit at the moment."""
        return self._mismatches.sentences()

    def destroy(self) -> None:
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()
        self._mismatches.destroy()

    def _subscribe(
        self, kind: type[Any], topic: str, callback: Callable[[Any], None], depth: int
    ) -> None:
        resolved = self._node.resolve_topic_name(topic)
        sensor_data = QoSProfile(
            history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT
        )
        self._subscriptions[resolved] = self._node.create_subscription(
            kind,
            topic,
            callback,
            sensor_data,
            event_callbacks=NO_SUBSCRIPTION_EVENTS,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        self._mismatches.watch(resolved)


def _sentence(topic: str, policy: str) -> str:
    return (
        f"nothing arrives on '{topic}': its publisher's {policy} does not fit; set parameter "
        f"'qos_overrides.{topic}.subscription.*' or the publisher's QoS"
    )
