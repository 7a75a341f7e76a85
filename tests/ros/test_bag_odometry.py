"""Velocities from poses, at the stamps real readings have, and the odometry of a whole bag."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pyquaternion import Quaternion

from gfocc_core.data.scenes import open_nuscenes
from gfocc_ros.bags.conversion import convert_scene
from gfocc_ros.bags.odometry import twists_along
from tests.nuscenes_fixture import SCENES, write_nuscenes
from tests.ros.bag_contents import matrix_from, on_topic, read_bag

Floats = npt.NDArray[np.float64]
SENSOR_OFFSETS_MS = (0.0, 5.3, 10.4, 18.0, 27.9, 35.5, 42.6)
SPEED, TURN_RATE = 9.0, 0.4


def circle(seconds: Floats) -> Floats:
    """Poses [N, 4, 4] of a vehicle that drives a circle, in a frame that is tilted."""
    tilt = Quaternion(axis=[1, 2, 0.3], radians=0.8).transformation_matrix
    poses = []
    for moment in seconds:
        angle, radius = TURN_RATE * moment, SPEED / TURN_RATE
        pose = Quaternion(axis=[0, 0, 1], radians=angle).transformation_matrix
        pose[:3, 3] = (radius * np.sin(angle), radius * (1 - np.cos(angle)), 0)
        poses.append(tilt @ pose)
    return np.stack(poses)


def stamps(keyframe_s: float, keyframes: int) -> npt.NDArray[np.int64]:
    """Nanoseconds: every interval the cameras fire one after the other."""
    starts = np.arange(keyframes)[:, None] * keyframe_s
    seconds = (starts + np.array(SENSOR_OFFSETS_MS) / 1e3).ravel()
    return np.unique((seconds * 1e9).round().astype(np.int64)) + 1_600_000_000_000_000_000


@pytest.mark.parametrize(("interval_s", "tolerance"), [(1 / 12, 0.01), (0.5, 0.2)])
def test_circle_has_its_speed_ahead_and_its_rate_of_turn(
    interval_s: float, tolerance: float
) -> None:
    at = stamps(interval_s, 6)
    twists = twists_along(at, circle((at - at[0]) / 1e9))
    assert twists.shape == (len(at), 6)
    expected = np.array([SPEED, 0, 0, 0, 0, TURN_RATE])
    np.testing.assert_allclose(twists, np.tile(expected, (len(at), 1)), atol=tolerance)


def test_noise_of_a_millimetre_between_near_stamps_stays_small() -> None:
    """Differences of neighbours, some of which are 0.1 ms apart, would be off by 10 m/s."""
    at = np.sort(np.concatenate([stamps(1 / 12, 12), stamps(1 / 12, 12) + 100_000]))
    poses = circle((at - at[0]) / 1e9)
    poses[:, :3, 3] += np.random.default_rng(0).normal(0, 1e-3, (len(at), 3))
    twists = twists_along(at, poses)
    error = np.abs(twists[:, 0] - SPEED)
    assert error[20:-20].max() < 0.05
    assert error.max() < 0.3


def test_two_poses_give_their_difference() -> None:
    at = np.array([0, 500_000_000]) + 1_600_000_000_000_000_000
    poses = np.tile(np.eye(4), (2, 1, 1))
    poses[1, :3, 3] = (2, 0, 1)
    np.testing.assert_allclose(twists_along(at, poses)[:, :3], [[4, 0, 2]] * 2, atol=1e-9)


def test_standing_vehicle_has_no_velocity() -> None:
    at = stamps(0.5, 3)
    twists = twists_along(at, np.tile(circle(np.array([3.0])), (len(at), 1, 1)))
    np.testing.assert_allclose(twists, 0, atol=1e-9)


def test_odometry_has_the_pose_of_tf_and_the_velocity_of_the_vehicle(
    tmp_path: Path,
) -> None:
    """The fixture's path is known in closed form: see its `_pose_at`."""
    dataset = write_nuscenes(tmp_path / "nuscenes", SCENES[:1])
    convert_scene(open_nuscenes(dataset.root, dataset.version), SCENES[0], tmp_path / "bag")
    bag = read_bag(tmp_path / "bag")
    transforms = {item.stamp_ns: item.message for item in bag if item.topic == "/tf"}
    odometry = on_topic(bag, "/odom")
    assert odometry.keys() == transforms.keys()
    for stamp_ns, message in odometry.items():
        assert (message.header.frame_id, message.child_frame_id) == ("odom", "base_link")
        to_base = transforms[stamp_ns].transforms[1].transform
        pose = message.pose.pose
        expected = matrix_from(to_base.translation, to_base.rotation)
        np.testing.assert_allclose(
            matrix_from(pose.position, pose.orientation), expected, atol=1e-9
        )
        seconds = stamp_ns / 1e9 % 100
        pitch = Quaternion(axis=[0, 1, 0], radians=0.02 * np.cos(seconds))
        yaw = Quaternion(axis=[0, 0, 1], radians=2.8 + 0.15 * seconds)
        velocity = (yaw * pitch).inverse.rotate(np.array([8, 1.2 * seconds, 0.1]))
        nodding = np.array([0, -0.02 * np.sin(seconds), 0])
        turning = pitch.inverse.rotate(np.array([0, 0, 0.15])) + nodding
        linear, angular = message.twist.twist.linear, message.twist.twist.angular
        np.testing.assert_allclose([linear.x, linear.y, linear.z], velocity, atol=0.02)
        np.testing.assert_allclose([angular.x, angular.y, angular.z], turning, atol=2e-3)
