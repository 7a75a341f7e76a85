"""TransformPoses: what the node knows about where the vehicle and its cameras are."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import rclpy
import torch
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from gfocc_core.geometry import compose_ego_from_cam, transform_from
from gfocc_ros.compat import tf
from gfocc_ros.tf.tf_buffer import RewindableBuffer
from gfocc_ros.tf.transforms import PoseUnavailable, TransformPoses
from tests.ros.tf_messages import START, at, link, matrix, shifted

pytestmark = pytest.mark.ros


@pytest.fixture
def node() -> Iterator[Node]:
    """A node that an executor spins in a thread of its own, as the occupancy node is."""
    rclpy.init()
    node = rclpy.create_node("occupancy")
    executor = SingleThreadedExecutor()
    executor.add_node(node)

    def spin() -> None:
        try:
            executor.spin()
        except ExternalShutdownException:
            return

    thread = threading.Thread(target=spin)
    thread.start()
    yield node
    while opened:
        opened.pop().close()
    rclpy.try_shutdown()
    thread.join()


opened: list[TransformPoses] = []


def listen(node: Node, timeout_s: float = 20.0) -> TransformPoses:
    """Closed after the test: the next one would still see it on the graph."""
    poses = TransformPoses(node, fixed_frame="odom", base_frame="base_link", timeout_s=timeout_s)
    opened.append(poses)
    return poses


def when_heard(broadcaster: object) -> None:
    """Wait for the broadcaster's listener: what is sent before is lost."""
    deadline = time.monotonic() + 20
    while broadcaster.pub_tf.get_subscription_count() == 0:  # type: ignore[attr-defined]
        assert time.monotonic() < deadline, "nobody listens to /tf"
        time.sleep(0.01)


def until_known(question: Callable[[], torch.Tensor]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            question()
            return
        except PoseUnavailable:
            assert time.monotonic() < deadline


def ns(seconds: float) -> int:
    return at(seconds).nanoseconds


def test_transforms_come_while_nobody_spins_the_node() -> None:
    rclpy.init()
    try:
        node = rclpy.create_node("occupancy", namespace="/robot")
        poses = listen(node)
        broadcaster = tf.TransformBroadcaster(node)
        when_heard(broadcaster)
        broadcaster.sendTransform([link("odom", "base_link", at(1.0), shifted(7.0))])
        assert float(poses.global_from_ego(ns(1.0))[0, 3]) == 7.0
        listeners = node.get_subscriptions_info_by_topic("/tf")
        assert [(it.node_namespace, it.node_name) for it in listeners] == [
            ("/robot", "_occupancy_tf")
        ]
        opened.pop().close()
        assert broadcaster.pub_tf.get_subscription_count() == 0
    finally:
        rclpy.try_shutdown()


def test_poses_of_a_vehicle_in_another_process(node: Node) -> None:
    """It drives 10 m/s and turns 0.5 rad/s; its camera is 1 m ahead and 2 m up."""
    path = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    program = Path(__file__).with_name("tf_publisher.py")
    vehicle = subprocess.Popen(
        [sys.executable, str(program), "--start-ns", str(START)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        poses = listen(node)
        assert vehicle.stdout is not None
        assert vehicle.stdout.readline() == "ready\n"

        def truth(seconds: float) -> torch.Tensor:
            yaw = torch.tensor(0.5 * seconds / 2, dtype=torch.float64)
            turn = torch.stack([yaw.cos(), yaw * 0, yaw * 0, yaw.sin()])
            return transform_from(torch.tensor([10 * seconds, 0, 0], dtype=torch.float64), turn)

        mount = torch.eye(4, dtype=torch.float64)
        mount[:3, 3] = torch.tensor([1.0, 0.0, 2.0])
        for ego, cam in ((1.003, 0.967), (1.1, 1.142)):
            found = poses.global_from_ego(ns(ego))
            assert found.dtype == torch.float64
            torch.testing.assert_close(found, truth(ego), rtol=0, atol=1e-6)
            torch.testing.assert_close(
                poses.ego_from_cam("camera", ns(cam), ns(ego)),
                compose_ego_from_cam(truth(ego), truth(cam), mount),
                rtol=0,
                atol=1e-6,
            )
    finally:
        vehicle.kill()
        vehicle.wait()


@pytest.mark.keyframe
def test_camera_poses_of_a_real_keyframe_are_those_of_its_tables(
    node: Node, keyframe_dir: Path
) -> None:
    """tf from the ego pose of every sensor's own stamp gives section 1's chain to a micrometre."""
    nuscenes = pytest.importorskip("nuscenes")
    tables = nuscenes.NuScenes("v1.0-mini", str(keyframe_dir), verbose=False)
    shots = [tables.get("sample_data", token) for token in tables.sample[0]["data"].values()]
    stamps = {shot["channel"]: shot["timestamp"] * 1000 for shot in shots}
    ego, mount, messages, mounts = {}, {}, [], []
    for shot in sorted(shots, key=lambda shot: shot["timestamp"]):
        channel = shot["channel"]
        where = tables.get("ego_pose", shot["ego_pose_token"])
        sensor = tables.get("calibrated_sensor", shot["calibrated_sensor_token"])
        moment = rclpy.time.Time(nanoseconds=stamps[channel])
        pose = (*where["translation"], *where["rotation"])
        messages.append(link("odom", "base_link", moment, pose))
        mounts.append(
            link("base_link", channel, moment, (*sensor["translation"], *sensor["rotation"]))
        )
        ego[channel], mount[channel] = matrix(messages[-1]), matrix(mounts[-1])

    poses = listen(node)
    moving, static = tf.TransformBroadcaster(node), tf.StaticTransformBroadcaster(node)
    when_heard(moving)
    static.sendTransform(mounts)
    for message in messages:
        moving.sendTransform(message)
    reference = "LIDAR_TOP"
    found = poses.global_from_ego(stamps[reference])
    torch.testing.assert_close(found, ego[reference], rtol=0, atol=1e-6)
    cameras = [channel for channel in stamps if channel.startswith("CAM")]
    assert cameras
    for camera in cameras:
        found = poses.ego_from_cam(f"/{camera}", stamps[camera], stamps[reference])
        expected = compose_ego_from_cam(ego[reference], ego[camera], mount[camera])
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_the_missing_link_is_named(node: Node) -> None:
    poses = listen(node, timeout_s=0.1)
    with pytest.raises(PoseUnavailable, match=r"'base_link' in 'odom'.*'odom' <- 'base_link'"):
        poses.global_from_ego(ns(0))

    moving, static = tf.TransformBroadcaster(node), tf.StaticTransformBroadcaster(node)
    when_heard(moving)
    moving.sendTransform([link("odom", "base_link", at(s), shifted(0)) for s in (0, 1)])
    until_known(lambda: poses.global_from_ego(ns(0.5)))
    with pytest.raises(PoseUnavailable, match=r"'odom' <- 'base_link' at \d+\.100000000 s"):
        poses.global_from_ego(ns(1.1))
    with pytest.raises(PoseUnavailable, match="'base_link' <- 'camera'"):
        poses.ego_from_cam("camera", ns(0.5), ns(0.5))

    static.sendTransform(link("base_link", "camera", at(0), shifted(1)))
    patient = listen(node)
    moving.sendTransform([link("odom", "base_link", at(s), shifted(0)) for s in (0, 1)])
    patient.ego_from_cam("camera", ns(0.5), ns(0.4))
    until_known(lambda: poses.ego_from_cam("camera", ns(0.5), ns(0.4)))
    for cam, ego in ((1.2, 0.5), (0.5, 1.2)):
        with pytest.raises(PoseUnavailable, match=r"'odom' <- 'base_link' at \d+\.200000000 s"):
            poses.ego_from_cam("camera", ns(cam), ns(ego))


def test_a_question_waits_for_a_transform_but_not_for_ever(node: Node) -> None:
    poses = listen(node, timeout_s=0.3)
    began = time.monotonic()
    with pytest.raises(PoseUnavailable, match=r"within 0\.3 s"):
        poses.global_from_ego(ns(0))
    assert 0.29 < time.monotonic() - began < 2

    patient = listen(node)
    moving = tf.TransformBroadcaster(node)
    when_heard(moving)
    late = threading.Timer(
        0.2, moving.sendTransform, ([link("odom", "base_link", at(0), shifted(4))],)
    )
    late.start()
    assert patient.global_from_ego(ns(0))[0, 3] == 4
    late.join()


@pytest.mark.parametrize("stamp", [0, -1])
def test_an_unstamped_message_is_not_answered_with_the_newest_pose(node: Node, stamp: int) -> None:
    poses = listen(node, timeout_s=0.1)
    with pytest.raises(PoseUnavailable, match="never stamped"):
        poses.global_from_ego(stamp)
    with pytest.raises(PoseUnavailable, match=r"'camera'.*never stamped"):
        poses.ego_from_cam("camera", stamp, ns(0))


def test_close_ends_the_subscriptions(node: Node) -> None:
    listen(node)
    opened.pop().close()
    deadline = time.monotonic() + 10
    while node.count_subscribers("/tf") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert node.count_subscribers("/tf") == node.count_subscribers("/tf_static") == 0


@pytest.mark.parametrize("length", [0.3, 30.0], ids=["short bag", "bag longer than the cache"])
def test_a_looped_bag_gives_the_poses_of_its_own_run(node: Node, length: float) -> None:
    """Three runs over DDS, each elsewhere; cleared once the first transforms of a run are in."""
    poses = listen(node)
    moving, static = tf.TransformBroadcaster(node), tf.StaticTransformBroadcaster(node)
    when_heard(moving)
    static.sendTransform(link("base_link", "camera", at(0), shifted(1)))

    def play(run: int, step: int) -> None:
        stamp = at(step * length / 3)
        moved = link("odom", "base_link", stamp, shifted(100 * run + step))
        moving.sendTransform([link("map", "odom", stamp, shifted(0)), moved])

    def position(step: int) -> float:
        return float(poses.global_from_ego(ns(step * length / 3))[0, 3])

    for run in range(3):
        play(run, 0)
        play(run, 1)
        if run > 0:
            deadline = time.monotonic() + 20
            while position(1) != 100 * run + 1:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            poses.clear()
        assert [position(0), position(1)] == [100 * run, 100 * run + 1]
        seen = poses.ego_from_cam("camera", ns(length / 3), ns(0))
        assert seen[0, 3] == pytest.approx(2)
        for step in (2, 3):
            play(run, step)
            assert position(step) == 100 * run + step


def feed(poses: TransformPoses, *seconds: float, speed: float = 10.0) -> RewindableBuffer:
    """Give the buffer itself a vehicle that drives along x; a camera sits 1 m ahead."""
    buffer = poses._buffer
    buffer.set_transform_static(link("base_link", "camera", at(0), shifted(1)), "test")
    for second in seconds:
        moved = link("odom", "base_link", at(second), shifted(speed * second))
        buffer.set_transform(moved, "test")
    return buffer


def test_all_poses_of_a_frame_share_one_timeout(node: Node) -> None:
    """Six cameras whose transforms never come must not hold up a frame six times as long."""
    poses = listen(node, timeout_s=0.6)
    feed(poses, 0, 1)
    began = time.monotonic()
    poses.global_from_ego(ns(0.9))
    for camera in range(6):
        with pytest.raises(PoseUnavailable, match=r"within 0\.6 s"):
            poses.ego_from_cam("camera", ns(1.1 + camera), ns(0.9))
    assert 0.59 < time.monotonic() - began < 3.0
    assert poses.ego_from_cam("camera", ns(0.8), ns(0.9))[0, 3] == pytest.approx(0), (
        "known: no wait"
    )
    began = time.monotonic()
    with pytest.raises(PoseUnavailable):
        poses.global_from_ego(ns(2.0))
    assert time.monotonic() - began > 0.59, "the next frame may wait again"


def test_static_mount_is_looked_up_once_until_it_changes(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    poses = listen(node)
    buffer = feed(poses, 0, 1)
    asked: list[str] = []
    lookup = RewindableBuffer.lookup_transform

    def counting(self, target, source, time, timeout=None):  # type: ignore[no-untyped-def]
        asked.append(source)
        return lookup(self, target, source, time, timeout)

    monkeypatch.setattr(RewindableBuffer, "lookup_transform", counting)
    for cam in (0.2, 0.3, 0.5):
        found = poses.ego_from_cam("camera", ns(cam), ns(0.5))
        assert found[0, 3] == pytest.approx(1 - 10 * (0.5 - cam))
    assert asked.count("camera") == 1
    buffer.set_transform_static(link("base_link", "camera", at(0), shifted(3)), "test")
    assert poses.ego_from_cam("camera", ns(0.5), ns(0.5))[0, 3] == 3
    assert poses.ego_from_cam("camera", ns(0.4), ns(0.5))[0, 3] == pytest.approx(2)
    assert asked.count("camera") == 2


def test_camera_on_a_moving_mount_is_asked_at_its_own_stamp(node: Node) -> None:
    """The mast turns: its camera is not where it was, however static its last link is."""
    poses = listen(node)
    buffer = feed(poses, 0, 1)
    buffer.set_transform_static(link("mast", "mast_camera", at(0), shifted(1)), "test")
    for second in (0.0, 1.0):
        buffer.set_transform(link("base_link", "mast", at(second), shifted(second)), "test")
    for cam in (0.25, 0.5):
        found = poses.ego_from_cam("mast_camera", ns(cam), ns(0.5))
        assert found[0, 3] == pytest.approx(1 + cam - 10 * (0.5 - cam))


def test_mount_that_begins_to_move_is_no_longer_taken_for_static(node: Node) -> None:
    poses = listen(node)
    buffer = feed(poses, 0, 1)
    assert poses.ego_from_cam("camera", ns(0.5), ns(0.5))[0, 3] == 1
    for second in (0.0, 1.0):
        moved = link("base_link", "camera", at(second), shifted(5 + second))
        buffer.set_transform(moved, "test")
    # tf2 itself goes on to take the link for static, with its last pose.
    assert float(poses.ego_from_cam("camera", ns(0.5), ns(0.5))[0, 3]) in (5.5, 6.0)


def test_pose_within_an_outage_is_refused_and_one_after_it_is_not(node: Node) -> None:
    """tf would draw a straight line across the 5 s in which nobody told where the vehicle was."""
    poses = listen(node, timeout_s=0.0)
    feed(poses, 0, 0.1, 5.1, 5.2)
    for stamp in (0.05, 0.1, 5.1, 5.15):
        assert poses.global_from_ego(ns(stamp))[0, 3] == pytest.approx(10 * stamp)
    with pytest.raises(PoseUnavailable, match=r"'odom' -> 'base_link' was silent for 5 s"):
        poses.global_from_ego(ns(5.0))
    with pytest.raises(PoseUnavailable, match="silent for 5 s"):
        poses.ego_from_cam("camera", ns(5.05), ns(5.1))
    assert poses.ego_from_cam("camera", ns(5.1), ns(5.15))[0, 3] == pytest.approx(0.5)


def test_outage_of_a_link_that_is_not_on_the_way_does_not_matter(node: Node) -> None:
    poses = listen(node, timeout_s=0.0)
    buffer = feed(poses, *(0.5 * k for k in range(12)))
    for second in (0.0, 5.0):
        buffer.set_transform(link("base_link", "gripper", at(second), shifted(0)), "test")
        buffer.set_transform(link("map", "odom", at(second), shifted(0)), "test")
    assert poses.global_from_ego(ns(2.25))[0, 3] == pytest.approx(22.5)
