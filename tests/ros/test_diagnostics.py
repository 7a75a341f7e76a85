"""/diagnostics of the running node, and what it says of QoS that does not fit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from nav_msgs.msg import OccupancyGrid
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo

from tests.ros.camera_messages import compressed_image
from tests.ros.camera_world import OFFSETS
from tests.ros.running_node import Running, run, small_checkpoint

pytestmark = pytest.mark.ros

NAMESPACE = "/told"
TOPIC = f"{NAMESPACE}/cam_front/camera_info"
OK, WARN, STALE = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.STALE


class Ear:
    """The newest status of each part of the node."""

    def __init__(self, running: Running) -> None:
        self._world = running.world
        self.statuses: dict[str, DiagnosticStatus] = {}
        self._world.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_array, 10)

    def wait_for(self, part: str, condition: Callable[[DiagnosticStatus], bool]) -> dict[str, str]:
        """Until a part's status is as wanted; returns its values."""
        self._world.wait_for(
            lambda: part in self.statuses and condition(self.statuses[part]),
            f"status '{part}', heard {self.statuses}",
        )
        return {pair.key: pair.value for pair in self.statuses[part].values}

    def _on_array(self, message: DiagnosticArray) -> None:
        assert message.header.stamp.sec > 0
        for status in message.status:
            name, part = status.name.split(": ")
            assert name == "told/occupancy"
            self.statuses[part] = status


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Iterator[Running]:
    override = f"qos_overrides.{TOPIC}.subscription.reliability:=reliable"
    folder = tmp_path_factory.mktemp("node")
    with run(folder, checkpoint, "-p", override, namespace=NAMESPACE) as both:
        yield both


@pytest.fixture(scope="module")
def ear(running: Running) -> Ear:
    return Ear(running)


def test_frames_are_ok_while_they_come_and_stale_when_they_stop(running: Running, ear: Ear) -> None:
    def has_a_rate(status: DiagnosticStatus) -> bool:  # a single frame has none
        rate = {pair.key: pair.value for pair in status.values}.get("rate (Hz)", "0")
        return status.level == OK and float(rate) > 0

    running.world.send_until(
        lambda: "frames" in ear.statuses and has_a_rate(ear.statuses["frames"]),
        "frames to be ok, at a rate",
    )
    values = ear.wait_for("frames", has_a_rate)
    for name in ("pipeline latency from arrival", "stage wait", "stage predict", "tf wait"):
        median, worst = (float(values[f"{name}, {kind} (ms)"]) for kind in ("median", "worst"))
        assert 0 <= median <= worst
    assert float(values["camera spread, worst (ms)"]) == pytest.approx(43, abs=0.1)
    assert values["pipeline latency from stamp, worst (ms)"] == "unknown", "stamps of 2018"
    assert values["cameras of the last frame"] == "6"
    ear.wait_for("frames", lambda status: status.level == STALE and "no frame" in status.message)
    ear.wait_for("cameras", lambda status: status.level == STALE and "any camera" in status.message)


def test_node_tells_its_state_device_and_memory(ear: Ear) -> None:
    values = ear.wait_for("node", lambda status: status.level == OK)
    assert (values["state"], values["device"]) == ("active", "cpu")
    assert float(values["process memory (MiB)"]) > 50
    assert ear.statuses["node"].hardware_id == "cpu"


def test_memory_has_the_age_of_the_trained_rhythm(running: Running, ear: Ear) -> None:
    for _ in range(3):
        running.world.answer()
    values = ear.wait_for(
        "frames", lambda status: "0.500" in {pair.value for pair in status.values}
    )
    assert values["memory age (s)"] == "0.500"


def test_many_damaged_images_are_a_warning_with_their_reason(running: Running, ear: Ear) -> None:
    def damaged() -> bool:
        messages = running.world.messages()
        for camera in ("cam_back", "cam_back_left"):
            image = compressed_image(camera, running.world.stamp_ns + OFFSETS[camera], b"x")
            messages[camera] = (image, messages[camera][1])
        running.world.send(messages)
        time.sleep(0.3)  # faster frames supersede each other before they are decoded
        status = ear.statuses["cameras"]
        return status.level == WARN and "images dropped" in status.message

    running.world.wait_for(damaged, "the warning")
    values = ear.wait_for("cameras", lambda status: status.level == WARN)
    assert int(values["dropped undecodable_image"]) >= 2


def test_publisher_whose_qos_does_not_fit_is_named_until_it_leaves(
    running: Running, ear: Ear
) -> None:
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    publisher = running.world.node.create_publisher(CameraInfo, TOPIC, best_effort)
    running.node.wait_for_log(f"nothing arrives on '{TOPIC}'")
    named = f"{TOPIC}: reliability does not fit"
    ear.wait_for("cameras", lambda status: named in status.message and status.level != OK)
    running.world.node.destroy_publisher(publisher)
    ear.wait_for("cameras", lambda status: TOPIC not in status.message)


def test_subscription_whose_qos_does_not_fit_is_a_warning_until_it_leaves(
    running: Running, ear: Ear
) -> None:
    topic = f"{NAMESPACE}/occupancy/grid"
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    ear.wait_for("outputs", lambda status: status.level == OK)
    subscription = running.world.node.create_subscription(
        OccupancyGrid, topic, lambda _: None, latched
    )
    running.node.wait_for_log(f"a subscription to '{topic}' gets nothing")
    values = ear.wait_for("outputs", lambda status: status.level == WARN)
    assert values["QoS mismatches of outputs"].startswith(f"{topic}: durability does not fit")
    running.world.node.destroy_subscription(subscription)
    ear.wait_for("outputs", lambda status: status.level == OK)
