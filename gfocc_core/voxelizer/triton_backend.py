"""Launches the Triton voxelizer: fixed launch shapes, no host synchronisation, differentiable.

Imported by the api when it needs it; imports Triton.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gfocc_core.config import OccupancyConfig
from gfocc_core.gaussians import Gaussians
from gfocc_core.grid import VoxelGrid
from gfocc_core.taxonomy import FREE_ID
from gfocc_core.voxelizer.triton_gather import gather_kernel
from gfocc_core.voxelizer.triton_gradient import scatter_back_kernel
from gfocc_core.voxelizer.triton_sorting import SortedGaussians, pad_classes, sort_gaussians

TILE = (4, 4, 16)
"""Voxels of one program."""
GROUP = 16
"""Gaussians per matrix product."""
PRECISION = "tf32x3"
"""Of the matrix products: three tensor-core passes keep float32's accuracy."""
GATHER_LAUNCH = {"num_warps": 4, "num_stages": 1}
BACK_BLOCK = 32
"""Voxels that one Gaussian's gradient reads at a time."""
BACK_WARPS = 1
"""Warps of one Gaussian's gradient for every 16 classes."""


def voxelize_triton(
    gaussians: Gaussians, grid: VoxelGrid, neighborhood: int
) -> tuple[Tensor, Tensor]:
    """Density [B, X, Y, Z] and logits [B, X, Y, Z, K] of Gaussians [B, N]; differentiable."""
    total, logits = _Voxelize.apply(*_inputs(gaussians), grid, neighborhood)
    return total.clamp(0, 1), logits


def voxelize_labels_triton(
    gaussians: Gaussians, grid: VoxelGrid, config: OccupancyConfig
) -> tuple[Tensor, Tensor]:
    """Labels uint8 [B, X, Y, Z] and cleaned density, without logits ever leaving the kernel."""
    inputs = _inputs(gaussians)
    density = torch.empty(len(inputs[0]), *grid.shape, device=inputs[0].device)
    labels = torch.empty(density.shape, dtype=torch.uint8, device=density.device)
    _gather(inputs, grid, config.neighborhood, density, None, labels, config)
    return labels, density


class _Voxelize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor]:
        *inputs, grid, neighborhood = arguments
        means, values = inputs[0], inputs[4]
        density = torch.empty(len(means), *grid.shape, device=means.device)
        logits = torch.empty(*density.shape, values.shape[-1], device=means.device)
        found = _gather(tuple(inputs), grid, neighborhood, density, logits, None, None)
        ctx.save_for_backward(
            *inputs, found.records, found.values, found.order, found.bases, density
        )
        ctx.grid, ctx.neighborhood = grid, neighborhood
        return density, logits

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, records, values, order, bases, density = ctx.saved_tensors
        results = tuple(torch.zeros_like(value) for value in inputs)
        batch, count = order.shape
        classes = inputs[4].shape[-1]
        padded = pad_classes(classes)
        if batch * count:
            scatter_back_kernel[(count, batch)](
                *inputs[:3],
                records,
                values,
                order,
                bases,
                density,
                *(gradient.float().contiguous() for gradient in gradients),
                *results,
                *ctx.grid.lower,
                ctx.grid.voxel_size,
                *ctx.grid.shape,
                count,
                bases.shape[1] - 1,
                ctx.neighborhood,
                classes,
                padded,
                BACK_BLOCK,
                num_warps=min(BACK_WARPS * padded // 16, 8),
            )
        return (*results, None, None)


def _gather(
    inputs: tuple[Tensor, ...],
    grid: VoxelGrid,
    neighborhood: int,
    density: Tensor,
    logits: Tensor | None,
    labels: Tensor | None,
    config: OccupancyConfig | None,
) -> SortedGaussians:
    """Fill density and either logits or, by the rules of config, labels."""
    batch, count, classes = inputs[4].shape
    found = sort_gaussians(inputs, grid, neighborhood, TILE[0])
    tiles = [-(-size // edge) for size, edge in zip(grid.shape, TILE, strict=True)]
    rule = config or OccupancyConfig()
    gather_kernel[(tiles[0], tiles[1] * tiles[2], batch)](
        found.records,
        found.values,
        found.starts,
        density,
        density if logits is None else logits,
        density if labels is None else labels,
        *grid.shape,
        count,
        rule.density_floor,
        rule.threshold,
        rule.ceiling_index,
        FREE_ID,
        neighborhood,
        classes,
        pad_classes(classes),
        *TILE,
        GROUP,
        PRECISION,
        labels is not None,
        **GATHER_LAUNCH,
    )
    return found


def _inputs(gaussians: Gaussians) -> tuple[Tensor, ...]:
    """Means, scales, quaternions, opacities and logits, contiguous float32 [B, N, ...]."""
    values = (
        gaussians.means,
        gaussians.scales,
        gaussians.quats,
        gaussians.opacities,
        gaussians.logits,
    )
    return tuple(value.float().contiguous() for value in values)
