"""Plain-torch voxelizer: states what every faster one must compute (ALGORITHM 6).

Differentiable, any device and dtype. Works through the Gaussians in chunks, so that the
(Gaussian, voxel) pairs of all of them never lie in memory at once.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gfocc_core.gaussians import Gaussians
from gfocc_core.geometry import matrix_from_quaternion
from gfocc_core.grid import VoxelGrid

PAIRS_AT_ONCE = 400_000
"""(Gaussian, voxel) pairs in memory at a time; bounds the peak at some 60 MB without gradients."""


def voxelize_reference(
    gaussians: Gaussians, grid: VoxelGrid, neighborhood: int
) -> tuple[Tensor, Tensor]:
    """Density [X, Y, Z] and logits [X, Y, Z, K] of unbatched Gaussians."""
    reached = _reached(gaussians, grid, neighborhood)
    means, scales = gaussians.means[reached], gaussians.scales[reached]
    whiten = matrix_from_quaternion(gaussians.quats[reached]) / scales.unsqueeze(-2)
    values = torch.cat([gaussians.opacities[reached, None], gaussians.logits[reached]], -1)
    home = grid.index_of(means.detach())
    cube = _cube(neighborhood, means.device)
    steps = cube.to(means) * grid.voxel_size
    sums = torch.zeros(grid.num_voxels, values.shape[1], device=means.device, dtype=means.dtype)
    chunk = max(1, PAIRS_AT_ONCE // len(cube))
    for part in torch.arange(len(means), device=means.device).split(chunk):
        first = grid.centers_of(home[part]).to(means) - means[part]
        away = (first.unsqueeze(1) + steps) @ whiten[part]
        weight = torch.exp(-0.5 * away.square().sum(-1))
        voxels, inside = _inside(home[part].unsqueeze(1) + cube, grid)
        shares = (weight * inside).unsqueeze(-1) * values[part].unsqueeze(1)
        sums = sums.index_add_(0, voxels.flatten(), shares.flatten(0, 1))
    sums = sums.view(*grid.shape, -1)
    return sums[..., 0].clamp(0, 1), sums[..., 1:]


def _inside(index: Tensor, grid: VoxelGrid) -> tuple[Tensor, Tensor]:
    """Flat positions of voxels [..., 3], those outside moved to the border, and who is inside."""
    last = torch.tensor(grid.shape, device=index.device) - 1
    clamped = torch.minimum(index.clamp(min=0), last)
    return grid.flatten_index(clamped), (clamped == index).all(-1)


def _reached(gaussians: Gaussians, grid: VoxelGrid, neighborhood: int) -> Tensor:
    """Indices of the Gaussians that are well defined and whose cube touches the grid."""
    usable = _usable(gaussians)
    home = grid.index_of(gaussians.means.detach()[usable])
    shape = torch.tensor(grid.shape, device=home.device)
    touches = ((home >= -neighborhood) & (home < shape + neighborhood)).all(-1)
    return usable[touches]


def _usable(gaussians: Gaussians) -> Tensor:
    """Indices of Gaussians whose numbers define one."""
    finite = [
        tensor.detach().isfinite().all(-1)
        for tensor in (gaussians.means, gaussians.scales, gaussians.quats, gaussians.logits)
    ]
    usable = torch.stack([*finite, gaussians.opacities.detach().isfinite()]).all(0)
    usable = usable & (gaussians.scales.detach() > 0).all(-1)
    usable = usable & (gaussians.quats.detach() != 0).any(-1)
    return usable.nonzero().squeeze(-1)


def _cube(neighborhood: int, device: torch.device) -> Tensor:
    """[(2 neighborhood + 1)^3, 3] voxel offsets."""
    reach = torch.arange(-neighborhood, neighborhood + 1, device=device)
    return torch.cartesian_prod(reach, reach, reach).view(-1, 3)
