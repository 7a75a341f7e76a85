"""Endpoints that never meet are found through the graph, told once, and forgotten when they go."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from gfocc_ros import qos_mismatches
from gfocc_ros.qos_mismatches import NO_PUBLISHER_EVENTS, NO_SUBSCRIPTION_EVENTS, QosMismatches

pytestmark = pytest.mark.ros

BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Bench:
    """A node and another one in a context of its own, as if in another process."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.contexts = (Context(), Context())
        for context in self.contexts:
            rclpy.init(context=context)
        self.own = Node("occupancy", context=self.contexts[0])
        self.other = Node("driver", context=self.contexts[1])
        self.executor = SingleThreadedExecutor(context=self.contexts[0])
        self.executor.add_node(self.own)
        self.told: list[tuple[str, str]] = []
        self.mismatches = QosMismatches(self.own, self._tell)
        self.mismatches.watch(topic)

    def _tell(self, topic: str, policy: str) -> str:
        self.told.append((topic, policy))
        return f"{policy} does not fit"

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, self.mismatches.sentences()
            self.executor.spin_once(timeout_sec=0.05)

    def looks(self, times: int) -> None:
        """Spin until it has looked at the graph so many times more."""
        seen: list[int] = []
        timer = self.own.create_timer(qos_mismatches.PERIOD_S, lambda: seen.append(1))
        self.until(lambda: len(seen) >= times)
        self.own.destroy_timer(timer)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Bench]:
    monkeypatch.setattr(qos_mismatches, "PERIOD_S", 0.05)
    # Endpoints of a test before are still known for a while.
    made = Bench("/" + "".join(it if it.isalnum() else "_" for it in request.node.name))
    yield made
    for node, context in zip((made.own, made.other), made.contexts, strict=True):
        node.destroy_node()
        context.try_shutdown()


def subscribe(bench: Bench, qos: QoSProfile) -> None:
    bench.own.create_subscription(
        CompressedImage, bench.topic, lambda _: None, qos, event_callbacks=NO_SUBSCRIPTION_EVENTS
    )


@pytest.mark.parametrize(
    ("asked_for", "policy"), [(RELIABLE, "reliability"), (LATCHED, "durability")]
)
def test_a_misfit_is_told_once_and_for_as_long_as_it_is_there(
    bench: Bench, asked_for: QoSProfile, policy: str
) -> None:
    subscribe(bench, asked_for)
    offered = BEST_EFFORT if asked_for is RELIABLE else RELIABLE
    publisher = bench.other.create_publisher(CompressedImage, bench.topic, offered)
    bench.until(bench.mismatches.sentences)
    bench.looks(3)
    assert bench.told == [(bench.topic, policy)]
    assert bench.mismatches.sentences()[0].startswith(f"{bench.topic}: {policy} does not fit (")
    bench.other.destroy_publisher(publisher)
    bench.until(lambda: not bench.mismatches.sentences())
    bench.other.create_publisher(CompressedImage, bench.topic, offered)
    bench.until(bench.mismatches.sentences)
    assert bench.told == [(bench.topic, policy)] * 2


def test_another_type_is_told_by_both_names(bench: Bench) -> None:
    subscribe(bench, BEST_EFFORT)
    bench.other.create_publisher(Image, bench.topic, BEST_EFFORT)
    bench.until(bench.mismatches.sentences)
    assert bench.mismatches.sentences() == (
        f"{bench.topic}: type does not fit "
        "(sensor_msgs/msg/Image is sent, sensor_msgs/msg/CompressedImage is read)",
    )
    assert bench.told == []


def test_what_fits_and_what_is_among_others_is_not_told(bench: Bench) -> None:
    bench.own.create_publisher(
        CompressedImage, bench.topic, RELIABLE, event_callbacks=NO_PUBLISHER_EVENTS
    )
    subscribe(bench, BEST_EFFORT)
    bench.mismatches.watch("/others")
    bench.other.create_publisher(Image, "/others", BEST_EFFORT)
    bench.other.create_subscription(Image, "/others", lambda _: None, RELIABLE)
    bench.until(lambda: bench.own.count_subscribers("/others") == 1)
    bench.looks(3)
    assert bench.mismatches.sentences() == ()
    assert bench.told == []


def test_nobody_looks_after_the_end(bench: Bench) -> None:
    bench.mismatches.destroy()
    subscribe(bench, RELIABLE)
    bench.other.create_publisher(CompressedImage, bench.topic, BEST_EFFORT)
    bench.until(lambda: bench.own.count_publishers(bench.topic) == 1)
    bench.looks(3)
    assert bench.told == []
