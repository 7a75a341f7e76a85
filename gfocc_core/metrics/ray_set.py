"""The rays that RayIoU casts: one fixed fan, from up to eight positions of the scene's lidar."""

from __future__ import annotations

import math

import torch
from torch import Tensor

MAX_ORIGINS = 8
MAX_OFFSET = 39.0
"""Metres ahead or aside of the ego beyond which a lidar position casts no rays."""
_TOP_PITCH = 0.21
"""Radians; the fan ends with the first pitch that is not below."""


def ray_directions() -> Tensor:
    """Unit vectors float32 [14040, 3] of the ego frame: 39 pitches x 360 degrees, pitch-major."""
    pitches = [math.atan(ring + 1) - math.pi / 2 for ring in range(10)]
    while pitches[-1] < _TOP_PITCH:
        pitches.append(2 * pitches[-1] - pitches[-2])
    pitch = torch.tensor(pitches, dtype=torch.float64)[:, None]
    azimuth = torch.deg2rad(torch.arange(360, dtype=torch.float64))[None]
    x, y = pitch.cos() * azimuth.cos(), pitch.cos() * azimuth.sin()
    return torch.stack([x, y, pitch.sin().expand_as(x)], -1).flatten(0, 1).float()


def select_ray_origins(lidar_positions_in_ego: Tensor) -> Tensor:
    """Choose where a sample's rays start.

    Args:
        lidar_positions_in_ego: [n, 3] metres: LIDAR_TOP at every keyframe of the scene, in the
            sample's reference ego frame, in order of time.

    Returns:
        [m, 3], m <= 8: those within 39 m ahead and aside, evenly picked where there are more.

    Raises:
        ValueError: the shape is another, or a number is not finite.
    """
    positions = lidar_positions_in_ego
    if positions.ndim != 2 or positions.shape[1] != 3:
        raise ValueError(f"lidar_positions_in_ego must be [n, 3], got {list(positions.shape)}")
    if not bool(positions.isfinite().all()):
        raise ValueError("lidar_positions_in_ego holds a NaN or infinite number")
    near = positions[(positions[:, :2].abs() < MAX_OFFSET).all(1)]
    if len(near) <= MAX_ORIGINS:
        return near
    picked = torch.linspace(0, len(near) - 1, MAX_ORIGINS, dtype=torch.float64).round().long()
    return near[picked.to(near.device)]


def rays_from(origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Every direction ([D, 3]) from every origin ([O, 3]), origin-major: two of [O * D, 3]."""
    return (
        origins.repeat_interleave(len(directions), 0),
        directions.repeat(len(origins), 1),
    )
