"""tf2_ros.TransformListener's stand-in: feeds a buffer from /tf and /tf_static."""

from __future__ import annotations

import threading

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from gfocc_ros.compat.tf2_buffer import Buffer

AUTHORITY = "default_authority"
"""What tf2_ros writes as the sender, since DDS messages do not name theirs."""


class TransformListener:
    """Two subscriptions on a node; something must spin that node, or `spin_thread` does."""

    def __init__(
        self,
        buffer: Buffer,
        node: Node,
        *,
        spin_thread: bool = False,
        qos: QoSProfile | int | None = None,
        static_qos: QoSProfile | int | None = None,
    ) -> None:
        self.buffer = buffer
        self.node = node
        # A callback that waits for tf in the node's default (mutually exclusive) group must not
        # keep these callbacks from running.
        self.group = ReentrantCallbackGroup()
        self.tf_sub = node.create_subscription(
            TFMessage, "/tf", self._on_moving, qos or _depth_100(), callback_group=self.group
        )
        self.tf_static_sub = node.create_subscription(
            TFMessage,
            "/tf_static",
            self._on_static,
            static_qos or _depth_100(DurabilityPolicy.TRANSIENT_LOCAL),
            callback_group=self.group,
        )
        self._executor: SingleThreadedExecutor | None = None
        if spin_thread:
            self._executor = SingleThreadedExecutor(context=node.context)
            self._executor.add_node(node)
            self._thread = threading.Thread(
                target=_spin, args=(self._executor,), name="tf_listener", daemon=True
            )
            self._thread.start()

    def unregister(self) -> None:
        """Stop listening: end the own thread, if any, and drop both subscriptions."""
        if self._executor is not None:
            self._executor.shutdown()
            self._thread.join()
            self._executor = None
        self.node.destroy_subscription(self.tf_sub)
        self.node.destroy_subscription(self.tf_static_sub)

    def _on_moving(self, message: TFMessage) -> None:
        for transform in message.transforms:
            self.buffer.set_transform(transform, AUTHORITY)

    def _on_static(self, message: TFMessage) -> None:
        for transform in message.transforms:
            self.buffer.set_transform_static(transform, AUTHORITY)


def _spin(executor: SingleThreadedExecutor) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        return


def _depth_100(durability: DurabilityPolicy = DurabilityPolicy.VOLATILE) -> QoSProfile:
    return QoSProfile(depth=100, history=HistoryPolicy.KEEP_LAST, durability=durability)
