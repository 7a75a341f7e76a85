"""The occupied voxels of an Occupancy as arrays on the host: what clouds and boxes are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gfocc_core.frame import Occupancy
from gfocc_core.grid import VoxelGrid
from gfocc_core.taxonomy import FREE_ID


@dataclass(frozen=True)
class OccupiedVoxels:
    """N voxels in the order of the [x, y, z] array, in the ego frame at `stamp_ns`."""

    index: NDArray[np.int64]
    """[N, 3] voxel indices."""
    labels: NDArray[np.uint8]
    """[N] Occ3D ids, none of them free."""
    density: NDArray[np.float32]
    """[N] in 0 to 1."""
    velocity: NDArray[np.float32] | None
    """[N, 3] m/s, or None if it was not predicted."""
    grid: VoxelGrid
    stamp_ns: int

    def __len__(self) -> int:
        return len(self.labels)

    def centers(self) -> NDArray[np.float32]:
        """[N, 3] metres."""
        lower = np.array(self.grid.lower, np.float32)
        return lower + (self.index.astype(np.float32) + 0.5) * np.float32(self.grid.voxel_size)


def occupied_voxels(occupancy: Occupancy) -> OccupiedVoxels:
    """Gather where the tensors lie, so that a GPU hands over the occupied voxels only."""
    labels = occupancy.labels.reshape(-1)
    flat = _occupied(labels)
    velocity = occupancy.velocity
    index = np.stack(np.unravel_index(flat.cpu().numpy(), occupancy.grid.shape), 1)
    return OccupiedVoxels(
        index=index,
        labels=labels[flat].cpu().numpy(),
        density=occupancy.density.reshape(-1)[flat].float().cpu().numpy(),
        velocity=None if velocity is None else velocity.reshape(-1, 3)[flat].float().cpu().numpy(),
        grid=occupancy.grid,
        stamp_ns=occupancy.stamp_ns,
    )


def _occupied(labels: torch.Tensor) -> torch.Tensor:
    """int64 [N] flat indices; NumPy finds them faster than torch does on the host."""
    if labels.device.type != "cpu":
        return torch.nonzero(labels != FREE_ID).squeeze(1)
    return torch.from_numpy(np.flatnonzero(labels.numpy() != FREE_ID))
