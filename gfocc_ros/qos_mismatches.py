"""Topics on which an own endpoint and another's never meet, since their QoS does not fit."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node
from rclpy.qos import (
    QoSCompatibility,
    QoSProfile,
    qos_check_compatible,
    qos_policy_name_from_kind,
)


class QosMismatches:
    """Told of mismatches by the events of a node's endpoints, it says which of them still hold."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._policies: dict[str, str] = {}

    def note(self, topic: str, event: Any) -> str:
        """Take an event of incompatible QoS on a topic (its full name).

        Returns:
            The policy's name, in small letters.
        """
        self._policies[topic] = qos_policy_name_from_kind(event.last_policy_kind).lower()
        return self._policies[topic]

    def sentences(self) -> tuple[str, ...]:
        """One for each topic on which somebody's QoS does not fit at the moment."""
        found = {topic: self._reason(topic) for topic in sorted(self._policies)}
        self._policies = {topic: self._policies[topic] for topic in found if found[topic]}
        return tuple(
            f"{topic}: {policy} does not fit ({found[topic]})"
            for topic, policy in self._policies.items()
        )

    def _reason(self, topic: str) -> str:
        """Why the first misfit is one; empty without any."""
        # Both sides as the graph tells them: only then are unlimited durations the same number.
        publishers = self._node.get_publishers_info_by_topic(topic)
        subscriptions = self._node.get_subscriptions_info_by_topic(topic)
        for publisher in publishers:
            for subscription in subscriptions:
                if self._is_own(publisher) or self._is_own(subscription):
                    reason = _misfit(publisher.qos_profile, subscription.qos_profile)
                    if reason:
                        return reason
        return ""

    def _is_own(self, endpoint: Any) -> bool:
        owner = (endpoint.node_namespace, endpoint.node_name)
        return owner == (self._node.get_namespace(), self._node.get_name())


def _misfit(offered: QoSProfile, asked_for: QoSProfile) -> str:
    compatible, reason = qos_check_compatible(offered, asked_for)
    if compatible != QoSCompatibility.ERROR:
        return ""
    return reason.replace("ERROR: ", "").rstrip("; ")
