"""The occupied voxels of an Occupancy as arrays on the host: what clouds and boxes are made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from gfocc_core.frame import Occupancy
from gfocc_core.grid import VoxelGrid
from gfocc_core.taxonomy import FREE_ID


@dataclass(frozen=True)
class OccupiedVoxels:
    """N voxels in the order of the [x, y, z] array, in the ego frame at `stamp_ns`."""

    flat: NDArray[np.int32]
    """[N] positions in the flattened array."""
    labels: NDArray[np.uint8]
    """[N] Occ3D ids, none of them free."""
    density: NDArray[np.float32]
    """[N] in 0 to 1."""
    velocity: NDArray[np.float32] | None
    """[3, N] m/s, or None if it was not predicted."""
    grid: VoxelGrid
    stamp_ns: int

    def __len__(self) -> int:
        return len(self.flat)

    @cached_property
    def axes(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
        """[N] each: the voxels' indices along x, y and z."""
        _, height, depth = self.grid.shape
        row, z = np.divmod(self.flat, np.int32(depth))
        x, y = np.divmod(row, np.int32(height))
        return x, y, z

    @cached_property
    def index(self) -> NDArray[np.int64]:
        """[N, 3] voxel indices."""
        return np.stack(self.axes, 1).astype(np.int64)

    def centers(self) -> tuple[NDArray[np.float32], ...]:
        """[N] each: x, y and z in metres."""
        size = np.float32(self.grid.voxel_size)
        return tuple(
            (np.float32(low) + (np.arange(count, dtype=np.float32) + np.float32(0.5)) * size)[index]
            for low, count, index in zip(self.grid.lower, self.grid.shape, self.axes, strict=True)
        )


def occupied_voxels(occupancy: Occupancy) -> OccupiedVoxels:
    """Gather where the tensors lie; a GPU hands over the occupied voxels only, in one copy."""
    labels, density = occupancy.labels.reshape(-1), occupancy.density.reshape(-1)
    flat = _occupied(labels)
    columns = [flat.int(), labels[flat].int(), density[flat].float()]
    if occupancy.velocity is not None:
        columns += occupancy.velocity.reshape(-1, 3)[flat].float().unbind(1)
    packed = torch.stack([column.view(torch.float32) for column in columns]).cpu().numpy()
    return OccupiedVoxels(
        flat=packed[0].view(np.int32),
        labels=packed[1].view(np.int32).astype(np.uint8),
        density=packed[2],
        velocity=packed[3:] if occupancy.velocity is not None else None,
        grid=occupancy.grid,
        stamp_ns=occupancy.stamp_ns,
    )


def _occupied(labels: torch.Tensor) -> torch.Tensor:
    """int64 [N] flat indices; NumPy finds them faster than torch does on the host."""
    if labels.device.type != "cpu":
        return torch.nonzero(labels != FREE_ID).squeeze(1)
    return torch.from_numpy(np.flatnonzero(labels.numpy() != FREE_ID))
