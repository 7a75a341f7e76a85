"""The occupied voxels of an Occupancy: what clouds, grids and boxes are made of.

They stay where the prediction lies until somebody asks for arrays on the host.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gfocc_core.frame import Occupancy
from gfocc_core.grid import VoxelGrid
from gfocc_core.taxonomy import FREE_ID


@dataclass(frozen=True)
class OccupiedVoxels:
    """N voxels in the order of the [x, y, z] array, in the ego frame at `stamp_ns`."""

    flat: Tensor
    """int64 [N] positions in the flattened array."""
    label_ids: Tensor
    """uint8 [N] Occ3D ids, none of them free."""
    density: Tensor
    """float32 [N] in 0 to 1."""
    velocity: Tensor | None
    """float32 [N, 3] m/s, or None if it was not predicted."""
    grid: VoxelGrid
    stamp_ns: int

    def __len__(self) -> int:
        return len(self.flat)

    def centers(self) -> list[Tensor]:
        """x, y and z of the voxels in metres, float32 [N] each, where the prediction lies."""
        _, height, depth = self.grid.shape
        row = self.flat // depth
        indices = (row // height, row % height, self.flat % depth)
        size = self.grid.voxel_size
        return [
            (index.float() + 0.5) * size + low
            for index, low in zip(indices, self.grid.lower, strict=True)
        ]

    @cached_property
    def index(self) -> NDArray[np.int64]:
        """[N, 3] voxel indices, on the host."""
        return np.stack(np.unravel_index(self.flat.cpu().numpy(), self.grid.shape), 1)

    @cached_property
    def labels(self) -> NDArray[np.uint8]:
        """[N] Occ3D ids, on the host."""
        found: NDArray[np.uint8] = self.label_ids.cpu().numpy()
        return found


def occupied_voxels(occupancy: Occupancy) -> OccupiedVoxels:
    """Gather them where the tensors lie."""
    labels, velocity = occupancy.labels.reshape(-1), occupancy.velocity
    flat = _occupied(labels)
    return OccupiedVoxels(
        flat=flat,
        label_ids=labels[flat],
        density=occupancy.density.reshape(-1)[flat].float(),
        velocity=None if velocity is None else velocity.reshape(-1, 3)[flat].float(),
        grid=occupancy.grid,
        stamp_ns=occupancy.stamp_ns,
    )


def _occupied(labels: Tensor) -> Tensor:
    """int64 [N] flat indices; NumPy finds them faster than torch does on the host."""
    if labels.device.type != "cpu":
        return torch.nonzero(labels != FREE_ID).squeeze(1)
    return torch.from_numpy(np.flatnonzero(labels.numpy() != FREE_ID))
