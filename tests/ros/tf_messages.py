"""Transforms as the tf tests write and read them."""

from __future__ import annotations

import torch
from geometry_msgs.msg import TransformStamped
from rclpy.time import Time
from torch import Tensor

from gfocc_core.geometry import transform_from

SECOND = 1_000_000_000
START = 1_532_402_927 * SECOND
"""A time of day as real stamps have it, in nanoseconds."""


def at(seconds: float) -> Time:
    return Time(nanoseconds=START + round(seconds * SECOND))


def link(
    parent: str, child: str, stamp: Time, pose: Tensor | tuple[float, ...]
) -> TransformStamped:
    """A transform from x, y, z and a quaternion w, x, y, z."""
    message = TransformStamped()
    message.header.stamp = stamp.to_msg()
    message.header.frame_id, message.child_frame_id = parent, child
    move, turn = message.transform.translation, message.transform.rotation
    move.x, move.y, move.z, turn.w, turn.x, turn.y, turn.z = (float(value) for value in pose)
    return message


def shifted(x: float) -> tuple[float, ...]:
    return (x, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


def matrix(message: TransformStamped) -> Tensor:
    move, turn = message.transform.translation, message.transform.rotation
    return transform_from(
        torch.tensor([move.x, move.y, move.z], dtype=torch.float64),
        torch.tensor([turn.w, turn.x, turn.y, turn.z], dtype=torch.float64),
    )


def random_poses(count: int, seed: int) -> Tensor:
    """[count, 7] positions within kilometres and unit quaternions."""
    generator = torch.Generator().manual_seed(seed)
    poses = torch.randn(count, 7, generator=generator, dtype=torch.float64)
    poses[:, :3] *= 1000
    poses[:, 3:] = torch.nn.functional.normalize(poses[:, 3:], dim=-1)
    return poses
