"""First occupied voxel along many rays at once, in plain torch on CPU or GPU.

The voxel crossings of all rays are evaluated side by side, a window of each axis at a time; the
hit is the occupied voxel of lowest rank on the walk. Needs nothing but torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gfocc_core.grid import OCC3D_GRID, VoxelGrid
from gfocc_core.metrics.ray_walks import RayWalks, begin_walks
from gfocc_core.taxonomy import FREE_ID

_CPU_RAYS = 16384
"""Rays at a time on a CPU, so that what a window makes of them stays near the cache."""
_CPU_WINDOW = 16
_GPU_WINDOW = 64
"""Crossings of an axis at a time: a GPU would rather do more work than launch more kernels."""
_EXACT_IN_FLOAT32 = 2**22
"""Voxels up to which float32 holds every flat index exactly, and every sum that leads to it."""


@dataclass(frozen=True)
class RayHits:
    """Where rays end in each of G grids."""

    labels: Tensor
    """int64 [G, R] id of the first occupied voxel, the origin's own included; 17 without one."""
    distances: Tensor
    """[G, R] metres from the origin to where the ray leaves that voxel, or, without one, the grid;
    NaN for a ray that never meets the grid."""


def cast_rays(
    labels: Tensor, origins: Tensor, directions: Tensor, grid: VoxelGrid = OCC3D_GRID
) -> RayHits:
    """Follow each ray to the first voxel that is not free.

    Args:
        labels: integer [G, X, Y, Z], G label grids that share the rays; 17 is free.
        origins: [R, 3] metres, in the grid's frame; may lie outside of the grid.
        directions: float [R, 3] unit vectors; distances have their dtype.
        grid: where the voxels lie.

    Raises:
        ValueError: a shape does not fit.
    """
    if labels.ndim != 4 or tuple(labels.shape[1:]) != tuple(grid.shape):
        expected = ", ".join(map(str, grid.shape))
        raise ValueError(f"labels must be [G, {expected}], got {list(labels.shape)}")
    if origins.ndim != 2 or origins.shape[1] != 3 or origins.shape != directions.shape:
        raise ValueError(
            "origins and directions must both be [R, 3], "
            f"got {list(origins.shape)} and {list(directions.shape)}"
        )
    dtype = directions.dtype if grid.num_voxels <= _EXACT_IN_FLOAT32 else torch.float64
    walks = begin_walks(origins.to(labels.device), directions.to(labels.device, dtype), grid)
    tables = labels.flatten(1)
    rank, voxel = _first_occupied(walks, tables != FREE_ID, grid)
    hit = rank.isfinite()
    crossings = (torch.stack(torch.unravel_index(voxel, grid.shape), -1) - walks.cell).abs()
    distances = walks.exits(torch.where(hit.unsqueeze(-1), crossings, walks.limit - 1))
    return RayHits(
        labels=torch.where(hit, tables.gather(1, voxel).long(), FREE_ID),
        distances=(torch.where(walks.enters, distances, math.nan) * grid.voxel_size).to(
            directions.dtype
        ),
    )


def _first_occupied(walks: RayWalks, occupied: Tensor, grid: VoxelGrid) -> tuple[Tensor, Tensor]:
    """Rank on the walk ([G, R], infinite without a hit) and flat index (int64 [G, R]) of the hits."""
    size, window = (len(walks), _GPU_WINDOW) if occupied.is_cuda else (_CPU_RAYS, _CPU_WINDOW)
    # One voxel more, free: where whatever lies outside of the grid is looked up.
    occupied = torch.nn.functional.pad(occupied, (0, 1))
    starts = range(0, max(len(walks), 1), max(size, 1))
    parts = [_search(walks[start : start + size], occupied, grid, window) for start in starts]
    ranks, voxels = zip(*parts, strict=True)
    return torch.cat(ranks, 1), torch.cat(voxels, 1).long()


def _search(
    walks: RayWalks, occupied: Tensor, grid: VoxelGrid, window: int
) -> tuple[Tensor, Tensor]:
    own = torch.where(walks.enters, walks.start, grid.num_voxels).long()
    rank = torch.where(occupied[:, own], 0.0, math.inf).to(walks.start)
    voxel = torch.where(walks.enters, walks.start, 0.0).repeat(len(occupied), 1)
    live = torch.arange(len(walks), device=own.device)
    # At most size - 1 crossings of an axis stay inside the grid.
    for begin in range(1, max(grid.shape), window):
        best_rank, best_voxel = rank[:, live], voxel[:, live]
        horizon = torch.full_like(walks.start, math.inf)
        for axis, size in enumerate(grid.shape):
            end = min(begin + window, size)
            if end <= begin:
                continue
            crossing = torch.arange(begin, end, device=own.device, dtype=rank.dtype)[None]
            ranks, voxels = walks.visit(axis, crossing, grid)
            index = voxels.long()
            for g, table in enumerate(occupied):
                nearest, where = torch.where(table[index], ranks, math.inf).min(1)
                reached = voxels.gather(1, where[:, None])[:, 0]
                best_voxel[g] = torch.where(nearest < best_rank[g], reached, best_voxel[g])
                best_rank[g] = torch.minimum(nearest, best_rank[g])
            if end < size:
                horizon = torch.minimum(horizon, ranks[:, -1])
        rank[:, live], voxel[:, live] = best_rank, best_voxel
        # A later window holds only ranks above the horizon; it matters to rays without a hit below.
        unsettled = (best_rank > horizon).any(0).nonzero()[:, 0]
        if len(unsettled) == 0:
            break
        live, walks = live[unsettled], walks[unsettled]
    return rank, voxel
