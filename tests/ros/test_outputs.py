"""Outputs are computed for those who listen, when they are due, and for no one else."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import rclpy
import torch
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.node import Node

from gfocc_ros.publishing.outputs import CLASSES_TOPIC, FRAME_TOPICS, Outputs, OutputSettings
from gfocc_ros.publishing.prediction import Prediction, Wanted
from tests.ros.occupancy_scene import (
    GRID,
    STAMP_NS,
    VEGETATION,
    free,
    gaussians,
    occupancy,
    random_labels,
    read_points,
)

pytestmark = pytest.mark.ros

PATIENCE_S = 30.0
NOTHING = Wanted(velocity=False, gaussians=False, forecast=False)
PREDICTION = Prediction(
    occupancy(random_labels(0), velocity=torch.ones(*GRID.shape, 3)),
    gaussians([0.5, 0.9]),
)
FORECASTS = (occupancy(random_labels(1), stamp_ns=STAMP_NS + 500_000_000),)


class Untouchable:
    """A prediction that nobody may look at."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was read")


class Listener:
    """Subscribes to the outputs of `/occupancy` in this process."""

    def __init__(self) -> None:
        self.node = rclpy.create_node("listener")
        self.received: dict[str, list[Any]] = {topic: [] for topic in FRAME_TOPICS}
        self._subscriptions: dict[str, Any] = {}

    def subscribe(self, outputs: Outputs, *topics: str) -> None:
        for topic in topics:
            self._subscriptions[topic] = self.node.create_subscription(
                FRAME_TOPICS[topic], f"/occupancy/{topic}", self.received[topic].append, 50
            )
            self._wait_for_count(outputs, topic, 1)

    def unsubscribe(self, outputs: Outputs, topic: str) -> None:
        self.node.destroy_subscription(self._subscriptions.pop(topic))
        self._wait_for_count(outputs, topic, 0)

    def counts_after(self, **expected: int) -> Counter[str]:
        """How many messages came per topic, once at least those expected did."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            rclpy.spin_once(self.node, timeout_sec=0.05)
            if all(len(self.received[topic]) >= count for topic, count in expected.items()):
                break
        rclpy.spin_once(self.node, timeout_sec=0.2)  # one too many would come now
        return Counter({topic: len(messages) for topic, messages in self.received.items()})

    def _wait_for_count(self, outputs: Outputs, topic: str, count: int) -> None:
        publisher = outputs._publishers[topic]
        deadline = time.monotonic() + PATIENCE_S
        while publisher.get_subscription_count() != count:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture
def ros() -> Iterator[None]:
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture
def outputs(ros: None) -> Iterator[Outputs]:
    node = Node("occupancy")
    made = Outputs(node, OutputSettings())
    yield made
    made.destroy()
    node.destroy_node()


@pytest.fixture
def listener(outputs: Outputs) -> Iterator[Listener]:
    made = Listener()
    yield made
    made.node.destroy_node()


def run_frames(outputs: Outputs, times: list[float], prediction: Prediction = PREDICTION) -> None:
    for now_s in times:
        outputs.wanted(now_s)
        outputs.publish(prediction, now_s)
        outputs.publish_forecast(FORECASTS, STAMP_NS, now_s)


def test_nothing_is_wanted_or_computed_without_subscribers(outputs: Outputs) -> None:
    assert outputs.wanted(0.0) == NOTHING
    outputs.publish(Untouchable(), 0.0)  # type: ignore[arg-type]


def test_each_listener_makes_its_part_wanted(outputs: Outputs, listener: Listener) -> None:
    listener.subscribe(outputs, "markers", "grid")
    assert outputs.wanted(0.0) == NOTHING
    listener.subscribe(outputs, "occupancy")
    assert outputs.wanted(0.0) == replace(NOTHING, velocity=True)
    listener.subscribe(outputs, "gaussians")
    assert outputs.wanted(0.0) == replace(NOTHING, velocity=True, gaussians=True)
    listener.subscribe(outputs, "forecast")
    assert outputs.wanted(0.0) == Wanted(velocity=True, gaussians=True, forecast=True)
    listener.unsubscribe(outputs, "occupancy")
    assert not outputs.wanted(0.0).velocity


def test_only_what_is_listened_to_is_sent(outputs: Outputs, listener: Listener) -> None:
    listener.subscribe(outputs, "grid", "forecast")
    run_frames(outputs, [0.0, 0.1])
    assert listener.counts_after(grid=2, forecast=2) == Counter(grid=2, forecast=2)


def test_every_topic_has_its_own_rate(outputs: Outputs, listener: Listener) -> None:
    outputs.settings = replace(outputs.settings, markers_rate_hz=1.0, grid_rate_hz=5.0)
    listener.subscribe(outputs, "occupancy", "markers", "grid")
    run_frames(outputs, [number / 10 for number in range(19)])
    counts = listener.counts_after(occupancy=19, markers=2, grid=10)
    assert counts == Counter(occupancy=19, markers=2, grid=10)


def test_what_is_not_due_is_not_wanted(outputs: Outputs, listener: Listener) -> None:
    outputs.settings = OutputSettings(
        occupancy_rate_hz=1.0, gaussians_rate_hz=1.0, forecast_rate_hz=1.0
    )
    listener.subscribe(outputs, "occupancy", "gaussians", "forecast")
    everything = Wanted(velocity=True, gaussians=True, forecast=True)
    assert outputs.wanted(0.0) == everything
    assert outputs.wanted(0.05) == everything, "asking uses nothing up"
    outputs.publish(PREDICTION, 0.05)
    outputs.publish_forecast(FORECASTS, STAMP_NS, 0.05)
    assert outputs.wanted(0.5) == NOTHING
    outputs.publish(Untouchable(), 0.5)  # type: ignore[arg-type]
    outputs.settings = OutputSettings()
    assert outputs.wanted(0.6) == everything


def test_a_topic_that_becomes_due_during_the_prediction_waits_for_the_next_frame(
    outputs: Outputs, listener: Listener
) -> None:
    outputs.settings = replace(outputs.settings, occupancy_rate_hz=1.0)
    listener.subscribe(outputs, "occupancy")
    run_frames(outputs, [0.0])
    assert not outputs.wanted(0.7).velocity
    outputs.publish(replace(PREDICTION, occupancy=occupancy(random_labels(0))), 1.1)
    run_frames(outputs, [1.2])
    assert listener.counts_after(occupancy=2)["occupancy"] == 2
    for cloud in listener.received["occupancy"]:
        assert (read_points(cloud)["vx"] == 1).all()


def test_publish_alone_sends_what_is_due(outputs: Outputs, listener: Listener) -> None:
    listener.subscribe(outputs, "occupancy", "gaussians", "forecast")
    outputs.publish(Prediction(PREDICTION.occupancy, None), 0.0)
    outputs.publish_forecast((), STAMP_NS, 0.0)
    outputs.publish(PREDICTION, 0.1)
    outputs.publish_forecast(FORECASTS, STAMP_NS, 0.1)
    counts = listener.counts_after(occupancy=2, gaussians=1, forecast=1)
    assert counts == Counter(occupancy=2, gaussians=1, forecast=1)


def test_settings_hold_from_the_next_frame_on(outputs: Outputs, listener: Listener) -> None:
    labels = free()
    labels[3, 2, 2] = VEGETATION  # 0 to 0.5 m
    prediction = Prediction(occupancy(labels), gaussians([0.2, 0.9]))
    listener.subscribe(outputs, "grid", "gaussians")
    run_frames(outputs, [0.0], prediction)
    outputs.settings = OutputSettings(
        base_frame="robot", grid_max_height_m=-0.1, gaussians_min_opacity=0.5
    )
    run_frames(outputs, [0.1], prediction)
    listener.counts_after(grid=2, gaussians=2)
    grids = listener.received["grid"]
    assert [int(np.max(grid.data)) for grid in grids] == [100, -1]
    assert [grid.header.frame_id for grid in grids] == ["base_link", "robot"]
    visible = [
        {marker.id for marker in message.markers if marker.action == 0}
        for message in listener.received["gaussians"]
    ]
    assert visible == [{0, 1}, {1}]


def test_topics_are_taken_back_and_advertised_again(ros: None) -> None:
    node = Node("occupancy")
    for _ in range(2):
        outputs = Outputs(node, OutputSettings())
        names = {name for name, _ in node.get_publisher_names_and_types_by_node("occupancy", "/")}
        expected = {f"/occupancy/{topic}" for topic in (*FRAME_TOPICS, CLASSES_TOPIC)}
        assert expected <= names
        outputs.destroy()
        deadline = time.monotonic() + PATIENCE_S
        while expected & names and time.monotonic() < deadline:
            time.sleep(0.02)
            names = {
                name for name, _ in node.get_publisher_names_and_types_by_node("occupancy", "/")
            }
        assert not expected & names
    node.destroy_node()


def test_a_lifecycle_node_sends_only_while_it_is_active(ros: None) -> None:
    node = LifecycleNode("occupancy")
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    outputs = Outputs(node, OutputSettings())
    listener = Listener()
    listener.subscribe(outputs, "occupancy", "markers")
    run_frames(outputs, [0.0])
    node.trigger_activate()
    run_frames(outputs, [0.1])
    node.trigger_deactivate()
    run_frames(outputs, [0.2])
    counts = listener.counts_after(occupancy=1, markers=1)
    assert counts == Counter(occupancy=1, markers=1)
    outputs.destroy()
    node.trigger_cleanup()
    node.destroy_node()
    listener.node.destroy_node()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base_frame", ""),
        ("grid_rate_hz", -1.0),
        ("forecast_rate_hz", float("nan")),
        ("grid_min_height_m", 3.0),
        ("forecast_horizons_s", (0.5, 0.0)),
        ("gaussians_min_opacity", 1.5),
    ],
)
def test_settings_refuse_what_makes_no_sense(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        OutputSettings(**{field: value})
