"""Publishers whose QoS users may override and whose mismatches are told."""

from __future__ import annotations

import functools
from typing import Any, TypeVar

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

try:
    from rclpy.event_handler import PublisherEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks

M = TypeVar("M")

DEPTH = 5
"""Messages kept for readers that are behind."""


def managed_publisher(node: Node, message_type: type[M], topic: str) -> Publisher[M]:
    """Reliable and volatile; on a lifecycle node silent until that is active."""
    create = getattr(node, "create_lifecycle_publisher", node.create_publisher)
    qos = QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=DEPTH, reliability=ReliabilityPolicy.RELIABLE
    )
    publisher: Publisher[M] = create(message_type, topic, qos, **_options(node, topic))
    return publisher


def latched_publisher(node: Node, message_type: type[M], topic: str) -> Publisher[M]:
    """Late subscribers get the last message; also while a lifecycle node is not active."""
    qos = QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )
    return node.create_publisher(message_type, topic, qos, **_options(node, topic))


def destroy_publisher(node: Node, publisher: Publisher[Any]) -> None:
    """Undo either of both."""
    destroy = getattr(node, "destroy_lifecycle_publisher", node.destroy_publisher)
    destroy(publisher)


def _options(node: Node, topic: str) -> dict[str, Any]:
    """Parameters `qos_overrides.<topic>.publisher.<policy>`, and a warning on a mismatch."""
    name = node.resolve_topic_name(topic)
    policies = (
        QoSPolicyKind.HISTORY,
        QoSPolicyKind.DEPTH,
        QoSPolicyKind.RELIABILITY,
        QoSPolicyKind.DURABILITY,
    )
    return {
        "qos_overriding_options": QoSOverridingOptions(policies),
        "event_callbacks": PublisherEventCallbacks(
            incompatible_qos=functools.partial(_warn_of_mismatch, node, name)
        ),
    }


def _warn_of_mismatch(node: Node, topic: str, event: Any) -> None:
    policy = qos_policy_name_from_kind(event.last_policy_kind).lower()
    node.get_logger().warning(
        f"a subscription to '{topic}' gets nothing: its QoS asks for more {policy} than is "
        f"offered; change it or parameter 'qos_overrides.{topic}.publisher.{policy}'"
    )
