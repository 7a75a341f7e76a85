"""tf over real DDS: listener, broadcasters, the message itself, and the node's clock."""

from __future__ import annotations

import importlib
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import rclpy
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from rosgraph_msgs.msg import Clock
from tf2_msgs.msg import TFMessage

from tests.ros.tf_messages import START, at, link, shifted

pytestmark = pytest.mark.ros
STAND_IN = "gfocc_ros.compat.tf2_ros"
PATIENCE = Duration(seconds=20)


@pytest.fixture(params=[STAND_IN, "tf2_ros"])
def tf(request: pytest.FixtureRequest) -> ModuleType:
    if request.param == STAND_IN:
        return importlib.import_module(STAND_IN)
    return pytest.importorskip("tf2_ros", reason="no full ROS 2 here: only the stand-in is tested")


@pytest.fixture
def ros() -> Iterator[None]:
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture
def vehicle() -> Iterator[subprocess.Popen[str]]:
    """A process that drives at 10 m/s and 0.5 rad/s from START on, and is already publishing."""
    path = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    program = [sys.executable, str(Path(__file__).with_name("tf_publisher.py"))]
    process = subprocess.Popen(
        [*program, "--start-ns", str(START)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()


def test_a_listener_follows_a_vehicle_in_another_process(
    tf: ModuleType, ros: None, vehicle: subprocess.Popen[str]
) -> None:
    """It starts after the static link was sent, and asks for a moment between two messages."""
    node = rclpy.create_node("listener")
    buffer = tf.Buffer()
    listener = tf.TransformListener(buffer, node, spin_thread=True)
    buffer.lookup_transform("odom", "base_link", Time(), timeout=PATIENCE)
    ahead = buffer.lookup_transform("odom", "base_link", Time()).header.stamp
    moment = Time(nanoseconds=Time.from_msg(ahead).nanoseconds + 507_000_000)
    found = buffer.lookup_transform("odom", "camera", moment, timeout=PATIENCE)
    moved = (moment.nanoseconds - START) * 1e-9
    yaw = 0.5 * moved
    move, turn = found.transform.translation, found.transform.rotation
    expected = (10 * moved + math.cos(yaw), math.sin(yaw), 2)
    assert (move.x, move.y, move.z) == pytest.approx(expected, abs=1e-6)
    assert abs(turn.w) == pytest.approx(abs(math.cos(yaw / 2)), abs=1e-6)
    assert vehicle.poll() is None
    listener.unregister()
    node.destroy_node()


def test_broadcasters_offer_what_tf2_listeners_ask_for(tf: ModuleType, ros: None) -> None:
    """One transform and a list of them, received with tf2's own QoS, the static one latched."""
    sender = rclpy.create_node("sender")
    moving, static = tf.TransformBroadcaster(sender), tf.StaticTransformBroadcaster(sender)
    static.sendTransform([link("a", "b", at(0), shifted(1)), link("b", "c", at(0), shifted(2))])

    receiver = rclpy.create_node("receiver")
    latched = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    received: dict[str, list[TFMessage]] = {"/tf": [], "/tf_static": []}
    receiver.create_subscription(TFMessage, "/tf", received["/tf"].append, 100)
    receiver.create_subscription(TFMessage, "/tf_static", received["/tf_static"].append, latched)
    executor = SingleThreadedExecutor()
    executor.add_node(receiver)
    deadline = time.monotonic() + 20
    while not all(received.values()) and time.monotonic() < deadline:
        moving.sendTransform(link("odom", "base", at(0), shifted(3)))
        executor.spin_once(timeout_sec=0.05)
    assert [t.child_frame_id for t in received["/tf_static"][0].transforms] == ["b", "c"]
    assert received["/tf"][0].transforms == [link("odom", "base", at(0), shifted(3))]


def test_unregister_ends_the_subscriptions(tf: ModuleType, ros: None) -> None:
    node = rclpy.create_node("listener")
    listener = tf.TransformListener(tf.Buffer(), node)
    assert node.count_subscribers("/tf") == node.count_subscribers("/tf_static") == 1
    listener.unregister()
    deadline = time.monotonic() + 10
    while node.count_subscribers("/tf") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert node.count_subscribers("/tf") == node.count_subscribers("/tf_static") == 0


def test_a_buffer_with_a_node_is_cleared_when_simulated_time_jumps_back(ros: None) -> None:
    tf = importlib.import_module(STAND_IN)
    simulated = Parameter("use_sim_time", value=True)
    node = rclpy.create_node("simulated", parameter_overrides=[simulated])
    clocks = node.create_publisher(Clock, "/clock", 10)
    buffer = tf.Buffer(node=node)
    executor = SingleThreadedExecutor()
    executor.add_node(node)

    def set_clock(moment: Time) -> None:
        deadline = time.monotonic() + 20
        while (now := node.get_clock().now().nanoseconds) != moment.nanoseconds:
            assert time.monotonic() < deadline, f"the node's clock stays at {now} ns"
            clocks.publish(Clock(clock=moment.to_msg()))
            executor.spin_once(timeout_sec=0.05)

    set_clock(at(10))
    buffer.set_transform(link("odom", "base", at(10), shifted(1)), "test")
    set_clock(at(11))
    assert buffer.can_transform("odom", "base", at(10))
    set_clock(at(5))
    assert not buffer.can_transform("odom", "base", at(10))


def test_tf_messages_have_the_type_hash_of_every_other_ros_2(ros: None) -> None:
    typesys = pytest.importorskip("rosbags.typesys")
    node = rclpy.create_node("publisher")
    node.create_publisher(TFMessage, "/tf", 10)
    endpoints = node.get_publishers_info_by_topic("/tf")
    if not hasattr(endpoints[0], "topic_type_hash"):
        pytest.skip("this ROS 2 (Humble) does not hash its types")
    upstream = typesys.get_typestore(typesys.Stores.ROS2_KILTED)
    assert str(endpoints[0].topic_type_hash) == upstream.hash_rihs01("tf2_msgs/msg/TFMessage")
