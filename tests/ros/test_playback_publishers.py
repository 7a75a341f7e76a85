"""What the player publishes with: message types by name, QoS as recorded."""

from __future__ import annotations

import pytest
from rclpy.qos import QoSDurabilityPolicy, QoSReliabilityPolicy
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosgraph_msgs.msg import Clock

from gfocc_ros.bags.messages import offered_qos
from gfocc_ros.bags.publishers import message_class, playback_qos
from gfocc_ros.bags.recording import RecordedTopic

pytestmark = pytest.mark.ros


def test_installed_types_are_found_and_others_are_named() -> None:
    assert message_class("rosgraph_msgs/msg/Clock") is Clock
    for name in ("rosgraph_msgs/msg/Nothing", "no_such_msgs/msg/Thing", "os", "os/path/join"):
        with pytest.raises(ValueError, match=name):
            message_class(name)


def recorded(*offered: Qos, messages: int = 3) -> RecordedTopic:
    return RecordedTopic("/topic", "std_msgs/msg/String", offered, messages)


def test_recorded_qos_is_offered_again() -> None:
    best_effort = offered_qos(5)._replace(
        reliability=QosReliability.BEST_EFFORT, deadline=QosTime(2, 5)
    )
    found = playback_qos(recorded(best_effort, best_effort._replace(depth=7)))
    assert found.reliability == QoSReliabilityPolicy.BEST_EFFORT
    assert found.durability == QoSDurabilityPolicy.VOLATILE
    assert found.deadline.nanoseconds == 2_000_000_005
    latched = playback_qos(recorded(offered_qos(1, latched=True), messages=40))
    assert latched.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL
    assert latched.depth >= 40  # a late subscriber gets them all


@pytest.mark.parametrize(
    "offered",
    [
        (),
        (offered_qos(1, latched=True), offered_qos(1)),
        (
            offered_qos(0)._replace(
                history=QosHistory.UNKNOWN,
                reliability=QosReliability.UNKNOWN,
                durability=QosDurability.SYSTEM_DEFAULT,
                liveliness=QosLiveliness.UNKNOWN,
            ),
        ),
    ],
    ids=["nothing-recorded", "publishers-disagreed", "unknown-to-us"],
)
def test_unclear_qos_becomes_reliable_and_volatile(offered: tuple[Qos, ...]) -> None:
    found = playback_qos(recorded(*offered))
    assert found.reliability == QoSReliabilityPolicy.RELIABLE
    assert found.durability == QoSDurabilityPolicy.VOLATILE
    assert found.depth > 0
