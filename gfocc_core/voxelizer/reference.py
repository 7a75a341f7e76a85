"""Plain-torch voxelizer: states what every faster one must compute (ALGORITHM 6).

Differentiable, any device and dtype. Works through the Gaussians in chunks, so that the
(Gaussian, voxel) pairs of all of them never lie in memory at once.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gfocc_core.gaussians import Gaussians
from gfocc_core.geometry import matrix_from_quaternion
from gfocc_core.grid import VoxelGrid

PAIRS_AT_ONCE = 100_000
"""(Gaussian, voxel) pairs in memory at a time: 15 MB without gradients, near a CPU's cache."""


def voxelize_reference(
    gaussians: Gaussians, grid: VoxelGrid, neighborhood: int
) -> tuple[Tensor, Tensor]:
    """Density [X, Y, Z] and logits [X, Y, Z, K] of unbatched Gaussians."""
    reached = _reached(gaussians, grid, neighborhood)
    means, scales = gaussians.means[reached], gaussians.scales[reached]
    whiten = matrix_from_quaternion(gaussians.quats[reached]) / scales.unsqueeze(-2)
    values = torch.cat([gaussians.opacities[reached, None], gaussians.logits[reached]], -1)
    home = grid.index_of(means.detach())
    reach = torch.arange(-neighborhood, neighborhood + 1, device=means.device)
    steps = reach.to(means) * grid.voxel_size
    sums = torch.zeros(grid.num_voxels, values.shape[1], device=means.device, dtype=means.dtype)
    chunk = max(1, PAIRS_AT_ONCE // len(reach) ** 3)
    for part in torch.arange(len(means), device=means.device).split(chunk):
        first = grid.centers_of(home[part]).to(means) - means[part]
        weight = _weights(first.unsqueeze(-1) + steps, whiten[part])
        voxels, inside = _voxels(home[part].unsqueeze(-1) + reach, grid)
        shares = (weight * inside).flatten(1).unsqueeze(-1) * values[part].unsqueeze(1)
        sums = sums.index_add_(0, voxels.flatten(), shares.flatten(0, 1))
    sums = sums.view(*grid.shape, -1)
    return sums[..., 0].clamp(0, 1), sums[..., 1:]


def _weights(away: Tensor, whiten: Tensor) -> Tensor:
    """Weights [P, R, R, R] at `away` [P, 3, R] metres from the means on each axis.

    The whitened vectors of a cube are sums of three terms, one per axis.
    """
    whitened = _over_cube(torch.add, away.unsqueeze(-1) * whiten.unsqueeze(-2))
    return torch.exp(-0.5 * whitened.square().sum(-1))


def _voxels(index: Tensor, grid: VoxelGrid) -> tuple[Tensor, Tensor]:
    """Flat positions [P, R, R, R] of the voxels at `index` [P, 3, R], and who is in the grid.

    Those outside get the position of a border voxel.
    """
    shape = torch.tensor(grid.shape, device=index.device).unsqueeze(-1)
    strides = torch.tensor([grid.shape[1] * grid.shape[2], grid.shape[2], 1], device=index.device)
    clamped = torch.minimum(index.clamp(min=0), shape - 1)
    positions = _over_cube(torch.add, clamped * strides.unsqueeze(-1))
    return positions, _over_cube(torch.logical_and, clamped == index)


def _over_cube(combine: Callable[[Tensor, Tensor], Tensor], along: Tensor) -> Tensor:
    """Values along the three axes [P, 3, R, ...], combined at every voxel: [P, R, R, R, ...]."""
    x, y, z = along.unbind(1)
    return combine(combine(x[:, :, None, None], y[:, None, :, None]), z[:, None, None])


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
