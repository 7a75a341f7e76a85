"""Plain-torch voxelizer: states what every faster one must compute (ALGORITHM 6).

Differentiable, any device and dtype. Works through the Gaussians in chunks, so that the
(Gaussian, voxel) pairs of all of them never lie in memory at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from gfocc_core.gaussians import Gaussians
from gfocc_core.geometry import matrix_from_quaternion
from gfocc_core.grid import VoxelGrid

PAIRS_AT_ONCE = 200_000
"""(Gaussian, voxel) pairs worked on at a time: 20 MB without gradients, near a CPU's cache."""

_OUTSIDE = 1e4
"""Metres: as far as a voxel outside of the grid is taken to be, so that its weight is 0."""


def voxelize_reference(
    gaussians: Gaussians, grid: VoxelGrid, neighborhood: int
) -> tuple[Tensor, Tensor]:
    """Density [X, Y, Z] and logits [X, Y, Z, K] of unbatched Gaussians."""
    values = torch.cat([gaussians.opacities.unsqueeze(-1), gaussians.logits], -1)
    sums = values.new_zeros(grid.num_voxels, values.shape[1])
    for members, voxels, weights in splat_pairs(gaussians, grid, neighborhood):
        shares = weights.unsqueeze(-1) * values[members].unsqueeze(1)
        sums = sums.index_add_(0, voxels.flatten().long(), shares.flatten(0, 1))
    sums = sums.view(*grid.shape, -1)
    return sums[..., 0].clamp(0, 1), sums[..., 1:]


def splat_pairs(
    gaussians: Gaussians, grid: VoxelGrid, neighborhood: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Chunk by chunk: numbers [P] of Gaussians, their voxels' flat positions and weights [P, R^3].

    Voxels outside of the grid have the position of a border voxel and no weight.
    """
    reached = _reached(gaussians, grid, neighborhood)
    means, scales = gaussians.means[reached], gaussians.scales[reached]
    axes = matrix_from_quaternion(gaussians.quats[reached]) / scales.unsqueeze(-2)
    whiten = _triangular(axes.transpose(-1, -2) * 0.5**0.5)
    home = grid.index_of(means.detach())
    reach = torch.arange(-neighborhood, neighborhood + 1, device=means.device)
    steps = reach.to(means) * grid.voxel_size
    chunk = max(1, PAIRS_AT_ONCE // len(reach) ** 3)
    for part in torch.arange(len(means), device=means.device).split(chunk):
        first = grid.centers_of(home[part]).to(means) - means[part]
        positions, inside = _positions(home[part].unsqueeze(-1) + reach, grid)
        away = torch.where(inside, first.unsqueeze(-1) + steps, _OUTSIDE)
        yield reached[part], positions, _weights(away, whiten[part])


def _triangular(matrix: Tensor) -> Tensor:
    """Upper triangular [..., 3, 3] that turns every vector into one as long as the matrix does.

    The R of a QR decomposition, by the modified Gram-Schmidt process: with it two of the three
    parts of a whitened vector are the same for all voxels of a row along x.
    """
    columns = list(matrix.unbind(-1))
    rows: list[list[Tensor]] = []
    for k in range(3):
        length = columns[k].norm(dim=-1)
        unit = columns[k] / length.unsqueeze(-1)
        row = [torch.zeros_like(length)] * k + [length]
        for other in range(k + 1, 3):
            share = (unit * columns[other]).sum(-1)
            columns[other] = columns[other] - share.unsqueeze(-1) * unit
            row.append(share)
        rows.append(row)
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def _weights(away: Tensor, whiten: Tensor) -> Tensor:
    """Weights [P, R^3] at `away` [P, 3, R] metres from the means on each axis.

    `whiten` [P, 3, 3], upper triangular, makes the squared length half the Mahalanobis distance's.
    """
    x, y, z = away.unbind(1)
    (xx, xy, xz), (_, yy, yz), (_, _, zz) = (row.unbind(-1) for row in whiten.unbind(1))
    third = zz[:, None] * z
    second = (yy[:, None] * y).unsqueeze(2) + (yz[:, None] * z).unsqueeze(1)
    plane = (xy[:, None] * y).unsqueeze(2) + (xz[:, None] * z).unsqueeze(1)
    first = (xx[:, None] * x)[:, :, None, None] + plane.unsqueeze(1)
    rest = second.square() + third.square().unsqueeze(1)
    return torch.exp(-(first.square() + rest.unsqueeze(1))).flatten(1)


def _positions(index: Tensor, grid: VoxelGrid) -> tuple[Tensor, Tensor]:
    """Flat positions int32 [P, R^3] of the voxels at `index` [P, 3, R], and who is in the grid.

    Those outside get the position of a border voxel. Inside: bool [P, 3, R], axis by axis.
    """
    shape = torch.tensor(grid.shape, device=index.device).unsqueeze(-1)
    strides = torch.tensor([grid.shape[1] * grid.shape[2], grid.shape[2], 1], device=index.device)
    clamped = torch.minimum(index.clamp(min=0), shape - 1)
    x, y, z = (clamped * strides.unsqueeze(-1)).int().unbind(1)
    plane = y.unsqueeze(2) + z.unsqueeze(1)
    return (x[:, :, None, None] + plane.unsqueeze(1)).flatten(1), clamped == index


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
