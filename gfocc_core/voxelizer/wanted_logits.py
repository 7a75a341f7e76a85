"""Voxelizing for labels on a CPU: logits only at the voxels that are occupied, which are few.

Called by api.py; sums the reference's pairs. Not differentiable.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gfocc_core.gaussians import Gaussians
from gfocc_core.grid import VoxelGrid
from gfocc_core.voxelizer.reference import splat_pairs


class Splat:
    """Unbatched Gaussians with the weights of all voxels that they reach, to be summed in parts."""

    def __init__(self, gaussians: Gaussians, grid: VoxelGrid, neighborhood: int) -> None:
        self._gaussians, self._voxels = gaussians, grid.num_voxels
        self._pairs = list(splat_pairs(gaussians, grid, neighborhood))

    def mass(self) -> Tensor:
        """Density [X * Y * Z], not clamped."""
        opacities = self._gaussians.opacities
        mass = opacities.new_zeros(self._voxels)
        for members, voxels, weights in self._pairs:
            shares = weights * opacities[members, None]
            mass.index_add_(0, voxels.flatten(), shares.flatten())
        return mass

    def logits_at(self, wanted: Tensor) -> Tensor:
        """Logits [M, K] of the voxels at the flat positions int64 [M]."""
        device = wanted.device
        row = torch.full((self._voxels,), -1, dtype=torch.int32, device=device)
        row[wanted] = torch.arange(len(wanted), dtype=torch.int32, device=device)
        every = self._gaussians.logits
        logits = every.new_zeros(len(wanted), every.shape[1])
        for members, voxels, weights in self._pairs:
            rows = row.index_select(0, voxels.flatten())
            cells = (rows >= 0).nonzero().squeeze(1)
            own = every.index_select(0, members[cells // voxels.shape[1]])
            own *= weights.flatten().index_select(0, cells).unsqueeze(1)
            logits.index_add_(0, rows.index_select(0, cells).long(), own)
        return logits
