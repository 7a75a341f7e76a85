"""The vehicle's path through a scene, and the velocities along it, from the poses alone.

Poses are `odom_from_base`, float64 [N, 4, 4], metres; velocities are those of `base_link` in
`base_link` (REP-103: x forward, y left, z up), m/s and rad/s.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from torch import Tensor

from gfocc_ros.bags.messages import header, new_message, pose, vector

Floats = npt.NDArray[np.float64]

WINDOW_S: Final = 0.1
"""Poses so far to both sides of a moment give its velocity; more where they lie further apart."""

_UNKNOWN_COVARIANCE: Final = np.zeros(36)


def twists_along(stamps_ns: npt.NDArray[np.int64], poses: Floats) -> Floats:
    """Linear and angular velocity [N, 6] at each of N poses, N >= 2.

    At each pose a parabola is fitted to how the poses around look from it, and its slope taken:
    poses of sensors that fire within a millisecond do not blow up rounding, and one-sided windows
    at the ends stay unbiased under constant acceleration.
    """
    seconds = (stamps_ns - stamps_ns[0]) / 1e9
    return np.stack(
        [_slope(seconds, poses, index, _window(seconds, index)) for index in range(len(seconds))]
    )


def odometry(
    stamp_ns: int, parent: str, child: str, parent_from_child: Tensor, twist: Floats
) -> Any:
    """nav_msgs/Odometry; twist is [6], covariances are zero, which says unknown."""
    return new_message(
        "nav_msgs/msg/Odometry",
        header=header(stamp_ns, parent),
        child_frame_id=child,
        pose=new_message(
            "geometry_msgs/msg/PoseWithCovariance",
            pose=pose(parent_from_child),
            covariance=_UNKNOWN_COVARIANCE,
        ),
        twist=new_message(
            "geometry_msgs/msg/TwistWithCovariance",
            twist=new_message(
                "geometry_msgs/msg/Twist", linear=vector(twist[:3]), angular=vector(twist[3:])
            ),
            covariance=_UNKNOWN_COVARIANCE,
        ),
    )


def _window(seconds: Floats, index: int) -> slice:
    """At least three poses that span at least WINDOW_S, where the scene has them."""
    reach = WINDOW_S
    while True:
        low = int(np.searchsorted(seconds, seconds[index] - reach, "left"))
        high = int(np.searchsorted(seconds, seconds[index] + reach, "right"))
        enough = high - low >= 3 and seconds[high - 1] - seconds[low] >= WINDOW_S
        if enough or high - low == len(seconds):
            return slice(low, high)
        reach *= 2


def _slope(seconds: Floats, poses: Floats, index: int, window: slice) -> Floats:
    here_from_odom = np.linalg.inv(poses[index])
    relative = here_from_odom @ poses[window]
    motion = np.concatenate([relative[:, :3, 3], _rotation_vectors(relative[:, :3, :3])], 1)
    offsets = seconds[window] - seconds[index]
    degree = min(2, len(offsets) - 1)
    powers = offsets[:, None] ** np.arange(1, degree + 1)  # No constant: it is 0 at the pose.
    solution: Floats = np.linalg.lstsq(powers, motion, rcond=None)[0][0]
    return solution


def _rotation_vectors(rotations: Floats) -> Floats:
    """Axis times angle [N, 3] of rotations [N, 3, 3] by less than half a turn."""
    skew = rotations - rotations.transpose(0, 2, 1)
    twice_sine_axis = np.stack([skew[:, 2, 1], skew[:, 0, 2], skew[:, 1, 0]], 1)
    cosine = (np.trace(rotations, axis1=1, axis2=2) - 1) / 2
    sine = np.linalg.norm(twice_sine_axis, axis=1) / 2
    angle = np.arctan2(sine, cosine)
    scale = np.where(sine > 1e-9, angle / np.maximum(sine, 1e-9), 1.0)
    vectors: Floats = twice_sine_axis / 2 * scale[:, None]
    return vectors
