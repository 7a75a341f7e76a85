"""The axis-aligned voxel grid that occupancy lives on.

Frame: ego (REP-103: x forward, y left, z up), metres. Array order is [x, y, z].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

FAR = 1e9
"""Indices beyond are cut to it, so that no coordinate overflows an integer."""


@dataclass(frozen=True)
class VoxelGrid:
    """A grid of cubic voxels; voxel i spans lower + [i, i + 1) * voxel_size on each axis."""

    lower: tuple[float, float, float] = (-40.0, -40.0, -1.0)
    """Lowest corner [x, y, z] in metres, ego frame."""
    voxel_size: float = 0.4
    """Edge of a voxel in metres."""
    shape: tuple[int, int, int] = (200, 200, 16)
    """Number of voxels along x, y, z."""

    def __post_init__(self) -> None:
        if not self.voxel_size > 0:
            raise ValueError(f"grid.voxel_size must be positive, got {self.voxel_size}")
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ValueError(f"grid.shape must be three positive integers, got {self.shape}")
        if len(self.lower) != 3:
            raise ValueError(f"grid.lower must be three numbers, got {self.lower}")

    @property
    def upper(self) -> tuple[float, float, float]:
        """Highest corner [x, y, z] in metres."""
        x, y, z = (
            low + count * self.voxel_size for low, count in zip(self.lower, self.shape, strict=True)
        )
        return (x, y, z)

    @property
    def num_voxels(self) -> int:
        return self.shape[0] * self.shape[1] * self.shape[2]

    def index_of(self, points: Tensor) -> Tensor:
        """Voxel index (int64 [..., 3]) that holds each point ([..., 3], metres); may lie outside the grid."""
        lower = torch.tensor(self.lower, device=points.device, dtype=points.dtype)
        index = torch.floor((points - lower) / self.voxel_size)
        return index.clamp(-FAR, FAR).long()

    def contains(self, index: Tensor) -> Tensor:
        """Whether voxel indices ([..., 3]) lie inside the grid: bool [...]."""
        shape = torch.tensor(self.shape, device=index.device)
        return ((index >= 0) & (index < shape)).all(-1)

    def centers_of(self, index: Tensor) -> Tensor:
        """Centres (float32 [..., 3], metres) of voxel indices ([..., 3])."""
        lower = torch.tensor(self.lower, device=index.device)
        return lower + (index.float() + 0.5) * self.voxel_size

    def flatten_index(self, index: Tensor) -> Tensor:
        """Position in the C-ordered [X, Y, Z] array of voxel indices ([..., 3]) inside the grid."""
        return (index[..., 0] * self.shape[1] + index[..., 1]) * self.shape[2] + index[..., 2]


OCC3D_GRID = VoxelGrid()
"""Occ3D-nuScenes: x, y in [-40, 40), z in [-1, 5.4), 0.4 m, 200 x 200 x 16."""
