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

TILE = (4, 4, 4)
"""Voxels of one program: 64 to a warp."""
GROUP = 16
"""Gaussians per matrix product."""
GATHER_LAUNCH = {"num_warps": 1, "num_stages": 1, "maxnreg": 168}
"""168 registers let 12 warps share a multiprocessor; what is spilled is not used in the loop."""
BACK_BLOCK = 32
"""Voxels that one Gaussian's gradient reads at a time."""
BACK_WARPS = 1
"""Warps of one Gaussian's gradient for every 16 classes."""
BACK_REGISTERS = 128
"""Per thread, so that 16 such warps share a multiprocessor; padded classes need more."""


def voxelize_triton(
    gaussians: Gaussians, grid: VoxelGrid, neighborhood: int
) -> tuple[Tensor, Tensor]:
    """Density [B, X, Y, Z] and logits [B, X, Y, Z, K] of Gaussians [B, N]; differentiable."""
    density, logits = _Voxelize.apply(*_inputs(gaussians), grid, neighborhood)
    return density, logits


def voxelize_labels_triton(
    gaussians: Gaussians, grid: VoxelGrid, config: OccupancyConfig
) -> tuple[Tensor, Tensor]:
    """Labels uint8 [B, X, Y, Z] and cleaned density, without logits ever leaving the kernel."""
    inputs = _inputs(gaussians)
    density = torch.empty(len(inputs[0]), *grid.shape, device=inputs[0].device)
    labels = torch.empty(density.shape, dtype=torch.uint8, device=density.device)
    _gather(inputs, grid, config.neighborhood, density, labels=labels, config=config)
    return labels, density


class _Voxelize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor]:
        *inputs, grid, neighborhood = arguments
        means, values = inputs[0], inputs[4]
        density = torch.empty(len(means), *grid.shape, device=means.device)
        logits = torch.empty(*density.shape, values.shape[-1], device=means.device)
        total = torch.empty_like(density) if any(ctx.needs_input_grad) else None
        found = _gather(tuple(inputs), grid, neighborhood, density, total=total, logits=logits)
        if total is not None:
            kept = (found.records, found.values, found.order, found.bins, found.starts)
            ctx.save_for_backward(*inputs[:3], *kept, total)
        ctx.grid, ctx.neighborhood, ctx.classes = grid, neighborhood, values.shape[-1]
        return density, logits

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        means, scales, quats, _, values, order, _, starts, _ = saved
        batch, count = order.shape
        opacities, logits = (
            means.new_empty(batch, count),
            means.new_empty(batch, count, ctx.classes),
        )
        results = (*map(torch.empty_like, (means, scales, quats)), opacities, logits)
        padded = values.shape[-1]
        if batch * count:
            scatter_back_kernel[(count, batch)](
                *saved,
                *(gradient.float().contiguous() for gradient in gradients),
                *results,
                *ctx.grid.lower,
                ctx.grid.voxel_size,
                *ctx.grid.shape,
                count,
                starts.shape[1] * starts.shape[2],
                ctx.neighborhood,
                ctx.classes,
                padded,
                BACK_BLOCK,
                num_warps=min(BACK_WARPS * padded // 16, 8),
                maxnreg=BACK_REGISTERS if ctx.classes == padded else 255,
            )
        return (*results, None, None)


def _gather(
    inputs: tuple[Tensor, ...],
    grid: VoxelGrid,
    neighborhood: int,
    density: Tensor,
    *,
    total: Tensor | None = None,
    logits: Tensor | None = None,
    labels: Tensor | None = None,
    config: OccupancyConfig | None = None,
) -> SortedGaussians:
    """Fill density and either logits or, by the rules of config, labels; unclamped total too."""
    batch, count, classes = inputs[4].shape
    found = sort_gaussians(inputs, grid, neighborhood, TILE)
    tiles = [-(-size // edge) for size, edge in zip(grid.shape, TILE, strict=True)]
    rule = config or OccupancyConfig()
    gather_kernel[(tiles[0], tiles[1] * tiles[2], batch)](
        found.records,
        found.values,
        found.starts,
        density,
        density if total is None else total,
        density if logits is None else logits,
        density if labels is None else labels,
        *grid.shape,
        count,
        found.strips.wide,
        found.strips.layers,
        found.strips.columns,
        rule.density_floor,
        rule.threshold,
        rule.ceiling_index,
        FREE_ID,
        neighborhood,
        classes,
        pad_classes(classes),
        *TILE,
        *found.strips.runs,
        GROUP,
        labels is not None,
        total is not None,
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
