"""The outputs as other processes see them: what arrives, when, and what a mismatch says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import String

from gfocc_ros.publishing.outputs import CLASSES_TOPIC, FRAME_TOPICS

pytestmark = pytest.mark.ros

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
LATCHED = QoSProfile(
    depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL, reliability=ReliabilityPolicy.RELIABLE
)
RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)


@pytest.fixture
def listener() -> Iterator[Node]:
    rclpy.init()
    node = rclpy.create_node("listener")
    yield node
    node.destroy_node()
    rclpy.try_shutdown()


@contextmanager
def publishing(folder: Path, *arguments: str) -> Iterator[Path]:
    """The process with the outputs; yields the file of its log."""
    log_file = folder / "log"
    with log_file.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.ros.outputs_process", "--ros-args", *arguments],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "ROS_LOG_DIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", log_file.read_text()
            yield log_file
        finally:
            process.kill()
            process.wait()


def spin_until(node: Node, condition: Callable[[], object]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.1)
    return bool(condition())


def test_every_topic_arrives_and_the_classes_also_late(listener: Node, tmp_path: Path) -> None:
    received: dict[str, Any] = {}
    with publishing(tmp_path):
        for topic, message_type in FRAME_TOPICS.items():
            note = noting(received, topic)
            listener.create_subscription(message_type, f"/occupancy/{topic}", note, RELIABLE)
        assert spin_until(listener, lambda: len(received) == len(FRAME_TOPICS)), received.keys()
        late = noting(received, CLASSES_TOPIC)
        listener.create_subscription(String, f"/occupancy/{CLASSES_TOPIC}", late, LATCHED)
        assert spin_until(listener, lambda: CLASSES_TOPIC in received)
    assert len(json.loads(received[CLASSES_TOPIC].data)["classes"]) == 18
    assert received["occupancy"].width > 0
    assert received["forecast"].width > 0
    assert len(received["gaussians"].markers) >= 2
    assert len(received["markers"].markers) > 10


def test_a_mismatch_is_told_and_an_override_heals_it(listener: Node, tmp_path: Path) -> None:
    clouds: list[PointCloud2] = []
    listener.create_subscription(PointCloud2, "/occupancy/occupancy", clouds.append, LATCHED)
    sentence = "a subscription to '/occupancy/occupancy' gets nothing"
    parameter = "qos_overrides./occupancy/occupancy.publisher.durability"
    with publishing(tmp_path) as log:
        assert spin_until(listener, lambda: sentence in log.read_text()), log.read_text()
        assert parameter in log.read_text()
    assert clouds == []
    with publishing(tmp_path, "-p", f"{parameter}:=transient_local") as log:
        assert spin_until(listener, lambda: clouds), log.read_text()
        assert sentence not in log.read_text()


def noting(received: dict[str, Any], topic: str) -> Callable[[Any], None]:
    return lambda message: received.__setitem__(topic, message)
