"""Publishers whose QoS users may override and whose mismatches are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

from gfocc_ros.qos_mismatches import NO_PUBLISHER_EVENTS, QosMismatches

M = TypeVar("M")

DEPTH = 5
"""Messages kept for readers that are behind."""


def managed_publisher(
    node: Node, message_type: type[M], topic: str, mismatches: QosMismatches
) -> Publisher[M]:
    """Reliable and volatile; on a lifecycle node silent until that is active."""
    create = getattr(node, "create_lifecycle_publisher", node.create_publisher)
    qos = QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=DEPTH, reliability=ReliabilityPolicy.RELIABLE
    )
    return _create(create, node, message_type, topic, qos, mismatches)


def latched_publisher(
    node: Node, message_type: type[M], topic: str, mismatches: QosMismatches
) -> Publisher[M]:
    """Late subscribers get the last message; also while a lifecycle node is not active."""
    qos = QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )
    return _create(node.create_publisher, node, message_type, topic, qos, mismatches)


def destroy_publisher(node: Node, publisher: Publisher[Any]) -> None:
    """Undo either of both."""
    destroy = getattr(node, "destroy_lifecycle_publisher", node.destroy_publisher)
    destroy(publisher)


def _create(
    create: Callable[..., Publisher[M]],
    node: Node,
    message_type: type[M],
    topic: str,
    qos: QoSProfile,
    mismatches: QosMismatches,
) -> Publisher[M]:
    """With parameters `qos_overrides.<topic>.publisher.<policy>`, and told of mismatches."""
    policies = (
        QoSPolicyKind.HISTORY,
        QoSPolicyKind.DEPTH,
        QoSPolicyKind.RELIABILITY,
        QoSPolicyKind.DURABILITY,
    )
    mismatches.watch(node.resolve_topic_name(topic))
    return create(
        message_type,
        topic,
        qos,
        qos_overriding_options=QoSOverridingOptions(policies),
        event_callbacks=NO_PUBLISHER_EVENTS,
    )


def mismatch_sentence(topic: str, policy: str) -> str:
    """What QosMismatches is to say of these publishers."""
    return (
        f"a subscription to '{topic}' gets nothing: its QoS asks for more {policy} than is "
        f"offered; change it or parameter 'qos_overrides.{topic}.publisher.{policy}'"
    )
