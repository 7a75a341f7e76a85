"""Stand-ins for tf2_ros' two broadcasters: publish transforms on /tf and /tf_static."""

from __future__ import annotations

from collections.abc import Iterable

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile
from tf2_msgs.msg import TFMessage


class TransformBroadcaster:
    """Publishes moments of moving links on /tf."""

    def __init__(self, node: Node, qos: QoSProfile | int = 100) -> None:
        self.pub_tf = node.create_publisher(TFMessage, "/tf", qos)

    def sendTransform(  # noqa: N802 (tf2_ros' name)
        self, transform: TransformStamped | Iterable[TransformStamped]
    ) -> None:
        """Publish one transform or several in one message."""
        self.pub_tf.publish(_message(transform))


class StaticTransformBroadcaster:
    """Publishes links that never move on /tf_static, latched.

    As with tf2_ros only the last message is kept for late joiners: send all links in one call.
    """

    def __init__(self, node: Node, qos: QoSProfile | int | None = None) -> None:
        latched = QoSProfile(
            depth=1, history=HistoryPolicy.KEEP_LAST, durability=DurabilityPolicy.TRANSIENT_LOCAL
        )
        self.pub_tf = node.create_publisher(TFMessage, "/tf_static", qos or latched)

    def sendTransform(  # noqa: N802 (tf2_ros' name)
        self, transform: TransformStamped | Iterable[TransformStamped]
    ) -> None:
        """Publish one transform or several in one message."""
        self.pub_tf.publish(_message(transform))


def _message(transform: TransformStamped | Iterable[TransformStamped]) -> TFMessage:
    several = [transform] if isinstance(transform, TransformStamped) else list(transform)
    return TFMessage(transforms=several)
