"""Launches the Triton voxelizer: fixed launch shapes, no host synchronisation, differentiable.

Imported by the api when it needs it; imports Triton.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
from torch import Tensor

from gfocc_core.config import OccupancyConfig
from gfocc_core.gaussians import Gaussians
from gfocc_core.grid import VoxelGrid
from gfocc_core.taxonomy import FREE_ID
from gfocc_core.voxelizer.triton_binning import bin_kernel
from gfocc_core.voxelizer.triton_gather import gather_kernel
from gfocc_core.voxelizer.triton_gradient import scatter_back_kernel

TILE = (4, 4, 16)
"""Voxels of one program."""
SEGMENTS = 8
"""Parts that the list of all Gaussians is binned in side by side."""
BIN_BLOCK, GATHER_BLOCK, BACK_BLOCK = 512, 128, 128
ROOM = 512
"""Gaussians that a tile holds before it sums them up; bounds the memory of its list."""
GROUP = 16
"""Gaussians per matrix product."""
PRECISION = "tf32x3"
"""Of the matrix products: three tensor-core passes keep float32's accuracy."""


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
        _gather(tuple(inputs), grid, neighborhood, density, logits, None, None)
        ctx.save_for_backward(*inputs, density)
        ctx.grid, ctx.neighborhood = grid, neighborhood
        return density, logits

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, density = ctx.saved_tensors
        results = tuple(torch.zeros_like(value) for value in inputs)
        batch, count = inputs[0].shape[:2]
        classes = inputs[4].shape[-1]
        if batch * count:
            scatter_back_kernel[(count, batch)](
                *inputs,
                density,
                *(gradient.float().contiguous() for gradient in gradients),
                *results,
                *_grid_arguments(ctx.grid),
                count,
                ctx.neighborhood,
                classes,
                _padded(classes),
                BACK_BLOCK,
                num_warps=4,
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
) -> None:
    means, classes = inputs[0], inputs[4].shape[-1]
    batch, count = means.shape[:2]
    tiles = [-(-size // edge) for size, edge in zip(grid.shape, TILE, strict=True)]
    capacity = max(1, -(-count // SEGMENTS))
    lists = means.new_empty(batch, tiles[0], SEGMENTS, capacity, dtype=torch.int32)
    counts = means.new_empty(batch, tiles[0], SEGMENTS, dtype=torch.int32)
    chosen = means.new_empty(batch, tiles[0], tiles[1] * tiles[2], ROOM, dtype=torch.int32)
    bin_kernel[(tiles[0], SEGMENTS, batch)](
        means,
        lists,
        counts,
        *_grid_arguments(grid),
        count,
        tiles[0],
        capacity,
        neighborhood,
        TILE[0],
        SEGMENTS,
        BIN_BLOCK,
        num_warps=4,
    )
    rule = config or OccupancyConfig()
    gather_kernel[(tiles[0], tiles[1] * tiles[2], batch)](
        *inputs,
        lists,
        counts,
        chosen,
        density,
        density if logits is None else logits,
        density if labels is None else labels,
        *_grid_arguments(grid),
        count,
        tiles[0],
        capacity,
        rule.density_floor,
        rule.threshold,
        rule.ceiling_index,
        FREE_ID,
        neighborhood,
        classes,
        _padded(classes),
        *TILE,
        SEGMENTS,
        GATHER_BLOCK,
        ROOM,
        GROUP,
        PRECISION,
        labels is not None,
        num_warps=4,
    )


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


def _grid_arguments(grid: VoxelGrid) -> tuple[float | int, ...]:
    return (*grid.lower, grid.voxel_size, *grid.shape)


def _padded(classes: int) -> int:
    return max(16, triton.next_power_of_2(classes))
