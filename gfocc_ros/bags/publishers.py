"""Publishers for the topics of a bag, and when their subscribers are there; for play_rosbag.

A publisher offers what the bag recorded, so that a latched topic such as `/tf_static` is latched
again. Only the queue's depth, which is the publisher's own affair, is chosen here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import (
    QoSDurabilityPolicy,
    QoSHistoryPolicy,
    QoSLivelinessPolicy,
    QoSProfile,
    QoSReliabilityPolicy,
)
from rosbags.interfaces import Qos, QosDurability, QosLiveliness, QosReliability, QosTime

from gfocc_ros.bags.command import BagError
from gfocc_ros.bags.recording import RecordedTopic

QUEUE_DEPTH = 100
"""Messages kept for a subscriber that is slow for a moment."""
MAX_LATCHED_DEPTH = 1000
SETTLE_S = 4.0
"""Nothing may have changed for so long before play.

That a publisher counts a subscription as matched does not mean that the subscription knows the
publisher already, and what it misses until then is lost. Fast DDS repeats an announcement that
was missed every 3 s.
"""
_POLL_S = 0.02
_NO_DATA = ("/tf", "/tf_static", "/clock")
_LONGEST_NS = 2**63 - 1


class UnknownTypeError(BagError):
    """No installed package has the type of a topic."""


def message_class(type_name: str) -> Any:
    """The Python class of an installed message type, such as `sensor_msgs/msg/CameraInfo`."""
    parts = re.fullmatch(r"(\w+)/msg/(\w+)", type_name)
    if parts is None:
        raise UnknownTypeError(f"'{type_name}' is not the name of a message type")
    try:
        return getattr(import_module(f"{parts[1]}.msg"), parts[2])
    except (ImportError, AttributeError) as error:
        raise UnknownTypeError(f"message type '{type_name}' is not installed") from error


def playback_qos(topic: RecordedTopic) -> QoSProfile:
    """The profile to offer a topic with; reliable and volatile where publishers disagreed."""
    if not topic.offered or len({_compatibility(qos) for qos in topic.offered}) > 1:
        return QoSProfile(depth=QUEUE_DEPTH)
    qos = topic.offered[0]
    latched = qos.durability == QosDurability.TRANSIENT_LOCAL
    depth = min(topic.num_messages, MAX_LATCHED_DEPTH) if latched else QUEUE_DEPTH
    best_effort = qos.reliability == QosReliability.BEST_EFFORT
    by_topic = qos.liveliness == QosLiveliness.MANUAL_BY_TOPIC
    return QoSProfile(
        history=QoSHistoryPolicy.KEEP_LAST,
        depth=max(depth, qos.depth, 1),
        reliability=(
            QoSReliabilityPolicy.BEST_EFFORT if best_effort else QoSReliabilityPolicy.RELIABLE
        ),
        durability=(
            QoSDurabilityPolicy.TRANSIENT_LOCAL if latched else QoSDurabilityPolicy.VOLATILE
        ),
        deadline=_duration(qos.deadline),
        lifespan=_duration(qos.lifespan),
        liveliness=(
            QoSLivelinessPolicy.MANUAL_BY_TOPIC if by_topic else QoSLivelinessPolicy.AUTOMATIC
        ),
        liveliness_lease_duration=_duration(qos.liveliness_lease_duration),
    )


def create_publishers(
    node: Node, topics: Sequence[RecordedTopic], warn: Callable[[str], None]
) -> dict[str, tuple[RecordedTopic, Publisher[Any]]]:
    """Publishers by topic name; a topic that cannot be published is left out with a warning.

    Raises:
        BagError: no topic is left.
    """
    publishers: dict[str, tuple[RecordedTopic, Publisher[Any]]] = {}
    for topic in topics:
        if topic.name in publishers:
            kept = publishers[topic.name][0].type_name
            warn(f"topic '{topic.name}' has two types; '{topic.type_name}' skipped, '{kept}' kept")
            continue
        try:
            publisher = node.create_publisher(
                message_class(topic.type_name), topic.name, playback_qos(topic)
            )
        except UnknownTypeError as error:
            warn(f"topic '{topic.name}' skipped: {error}")
            continue
        publishers[topic.name] = (topic, publisher)
    if not publishers:
        raise BagError("no topic of the bag can be published")
    return publishers


def wait_for_subscribers(
    node: Node,
    publishers: Mapping[str, Publisher[Any]],
    timeout_s: float,
    stopped: Callable[[], bool],
    warn: Callable[[str], None],
) -> None:
    """Wait until those who want the bag's topics can hear them.

    Goes on as soon as some topic other than tf and clock has a subscriber, every subscription on the graph
    is matched, and nothing changed for SETTLE_S. After timeout_s it goes on anyway and warns of
    the topics that nobody hears.
    """
    data = [name for name in publishers if name not in _NO_DATA] or list(publishers)
    began = time.monotonic()
    last, since = None, began
    while not stopped():
        matched = {name: p.get_subscription_count() for name, p in publishers.items()}
        wanted = {name: node.count_subscribers(p.topic_name) for name, p in publishers.items()}
        now = time.monotonic()
        if (matched, wanted) != last:
            last, since = (matched, wanted), now
        complete = all(matched[name] >= wanted[name] for name in publishers)
        if complete and any(matched[name] for name in data) and now - since >= SETTLE_S:
            return
        if now - began >= timeout_s:
            _warn_unheard(matched, wanted, warn)
            return
        time.sleep(_POLL_S)


def _warn_unheard(
    matched: Mapping[str, int], wanted: Mapping[str, int], warn: Callable[[str], None]
) -> None:
    unheard = sorted(name for name in matched if not wanted[name])
    if unheard:
        warn(f"nobody listens to {', '.join(unheard)}")
    for name in sorted(matched):
        if matched[name] < wanted[name]:
            warn(
                f"{wanted[name] - matched[name]} of {wanted[name]} subscribers of {name} cannot "
                "hear it: their QoS asks for more than was recorded"
            )


def _compatibility(qos: Qos) -> tuple[object, ...]:
    return (
        qos.reliability,
        qos.durability,
        qos.deadline,
        qos.liveliness,
        qos.liveliness_lease_duration,
    )


def _duration(value: QosTime) -> Duration:
    nanoseconds = value.sec * 1_000_000_000 + value.nsec
    return Duration(nanoseconds=min(nanoseconds, _LONGEST_NS))
