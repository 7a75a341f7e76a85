"""A vehicle may drive as vehicles do; its odometry must not leap."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gfocc_ros.frames.odometry_watch import OdometryWatch

SECOND = 1_000_000_000


def pose(x: float, y: float = 0.0, yaw: float = 0.0) -> Tensor:
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:2, :2] = torch.tensor([[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]])
    matrix[0, 3], matrix[1, 3] = x, y
    return matrix


def judged(poses: list[Tensor], rate_hz: float, max_jump_m: float = 5.0) -> list[int]:
    """Indices of the poses that are jumps."""
    watch = OdometryWatch(max_jump_m)
    return [k for k, p in enumerate(poses) if watch.jump(round((k + 1) * SECOND / rate_hz), p)]


@pytest.mark.parametrize("rate_hz", [1.5, 2.0, 12.0])
def test_hard_driving_is_no_jump(rate_hz: float) -> None:
    """60 m/s from the start, then a stop at 12 m/s^2, then a circle of 10 m at 10 m/s."""
    times = [k / rate_hz for k in range(round(15 * rate_hz))]
    poses = []
    for t in times:
        if t < 3:
            poses.append(pose(60 * t))
        elif t < 8:
            poses.append(pose(180 + 60 * (t - 3) - 6 * (t - 3) ** 2))
        else:
            angle = t - 8
            poses.append(pose(330 + 10 * math.sin(angle), 10 - 10 * math.cos(angle), angle))
    assert judged(poses, rate_hz) == []


@pytest.mark.parametrize("rate_hz", [2.0, 12.0])
@pytest.mark.parametrize("speed", [0.0, 30.0])
@pytest.mark.parametrize("leap", [10.0, -10.0, 1000.0])
def test_leap_is_found_once_at_any_speed(rate_hz: float, speed: float, leap: float) -> None:
    poses = [pose(speed * k / rate_hz + (leap if k >= 6 else 0.0)) for k in range(12)]
    assert judged(poses, rate_hz) == [6]


def test_drift_correction_below_the_limit_is_no_jump() -> None:
    poses = [pose(3.0 * k + (3.0 if k >= 4 else 0.0)) for k in range(8)]
    assert judged(poses, 2.0) == []
    assert judged(poses, 12.0, max_jump_m=1.0) == [4]


def test_leap_that_only_turns_is_found() -> None:
    poses = [pose(0.0, yaw=3.0 if k >= 3 else 0.0) for k in range(6)]
    assert judged(poses, 12.0) == [3]


def test_first_move_is_judged_by_the_top_speed() -> None:
    assert judged([pose(0.0), pose(39.0)], 2.0) == []
    assert judged([pose(0.0), pose(41.0)], 2.0) == [1]


def test_what_comes_after_forget_or_an_earlier_stamp_is_no_continuation() -> None:
    watch = OdometryWatch(5.0)
    assert not watch.jump(10 * SECOND, pose(0.0))
    watch.forget()
    assert not watch.jump(10 * SECOND + 1, pose(900.0))
    assert not watch.jump(5 * SECOND, pose(0.0))
    assert watch.jump(6 * SECOND, pose(900.0))


def test_noise_of_poses_close_in_time_gives_no_speed() -> None:
    watch = OdometryWatch(1.0)
    watch.jump(SECOND, pose(0.0))
    watch.jump(SECOND + 1_000_000, pose(0.05))
    assert not watch.jump(2 * SECOND, pose(0.0)), "0.05 m in 1 ms is no 50 m/s"
