"""Topics on which an own endpoint and another's never meet: their QoS or types do not fit.

DDS has an event for it, but rclpy's executor asks each endpoint's event handlers every time it
wakes, which is for every message: with thirty of them a quarter of all the node's receiving. So
the graph is asked instead, once a second, and endpoints are made without handlers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    LivelinessPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

PERIOD_S = 1.0
_TYPE = "type"

NO_PUBLISHER_EVENTS = PublisherEventCallbacks(use_default_callbacks=False)
NO_SUBSCRIPTION_EVENTS = SubscriptionEventCallbacks(use_default_callbacks=False)
"""For endpoints whose topics are watched here; rclpy gives two handlers to others by itself."""


class QosMismatches:
    """Watches topics from construction until `destroy`; belongs to the thread that spins the node.

    Args:
        node: whose endpoints are meant.
        tell: the sentence to log about a topic (its full name) and the policy that does not fit,
            once for as long as it does not.
    """

    def __init__(self, node: Node, tell: Callable[[str, str], str]) -> None:
        self._node, self._tell = node, tell
        self._topics: list[str] = []
        self._found: dict[str, tuple[str, str]] = {}
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(PERIOD_S, self._look, clock=steady)

    def watch(self, topic: str) -> None:
        """Look after a topic (its full name)."""
        self._topics.append(topic)

    def sentences(self) -> tuple[str, ...]:
        """One for each topic with somebody who did not fit when it was looked at last."""
        return tuple(
            f"{topic}: {policy} does not fit ({reason})"
            for topic, (policy, reason) in sorted(self._found.items())
        )

    def destroy(self) -> None:
        self._node.destroy_timer(self._timer)

    def _look(self) -> None:
        before, self._found = self._found, {}
        for topic in self._topics:
            misfit = self._misfit(topic)
            if misfit is None:
                continue
            self._found[topic] = misfit
            policy, reason = misfit
            if before.get(topic, ("", ""))[0] != policy:
                told = f"{topic}: {reason}" if policy == _TYPE else self._tell(topic, policy)
                self._node.get_logger().warning(told)

    def _misfit(self, topic: str) -> tuple[str, str] | None:
        """Policy and reason of the first misfit on a topic."""
        # Both sides as the graph tells them: only then are unlimited durations the same number.
        publishers = self._node.get_publishers_info_by_topic(topic)
        subscriptions = self._node.get_subscriptions_info_by_topic(topic)
        for publisher in publishers:
            for subscription in subscriptions:
                if self._is_own(publisher) or self._is_own(subscription):
                    if publisher.topic_type != subscription.topic_type:
                        sent, read = publisher.topic_type, subscription.topic_type
                        return _TYPE, f"{sent} is sent, {read} is read"
                    offered, asked_for = publisher.qos_profile, subscription.qos_profile
                    compatible, reason = qos_check_compatible(offered, asked_for)
                    if compatible == QoSCompatibility.ERROR:
                        told = reason.replace("ERROR: ", "").rstrip("; ")
                        return _policy(offered, asked_for), told
        return None

    def _is_own(self, endpoint: Any) -> bool:
        owner = (endpoint.node_namespace, endpoint.node_name)
        return owner == (self._node.get_namespace(), self._node.get_name())


def _policy(offered: QoSProfile, asked_for: QoSProfile) -> str:
    """Which policy of a publisher does not reach what a subscription asks for."""
    if (
        offered.reliability == ReliabilityPolicy.BEST_EFFORT
        and asked_for.reliability == ReliabilityPolicy.RELIABLE
    ):
        return "reliability"
    if (
        offered.durability == DurabilityPolicy.VOLATILE
        and asked_for.durability == DurabilityPolicy.TRANSIENT_LOCAL
    ):
        return "durability"
    if offered.deadline > asked_for.deadline:
        return "deadline"
    if (
        offered.liveliness == LivelinessPolicy.AUTOMATIC
        and asked_for.liveliness == LivelinessPolicy.MANUAL_BY_TOPIC
    ):
        return "liveliness"
    return "liveliness_lease_duration"
