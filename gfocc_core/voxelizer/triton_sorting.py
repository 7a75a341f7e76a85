# mypy: disable-error-code="no-untyped-def, assignment, misc"
"""Sorts Gaussians into strips along y and voxels of those, so that tiles read runs of memory.

A bin's Gaussians follow each other in their original order: each counts those before it. Fixed
launch shapes, no host synchronisation, the same order every time.
"""

from __future__ import annotations

from dataclasses import dataclass

import triton
import triton.language as tl
from torch import Tensor, int32

from gfocc_core.grid import VoxelGrid
from gfocc_core.voxelizer.triton_binning import count_kernel, place_kernel, start_kernel
from gfocc_core.voxelizer.triton_geometry import RECORD, TO_EXP2, from_home, home_voxel, whitening

BLOCK = 128
"""Gaussians of one program that counts or places."""
STRIPS, COLUMNS = 512, 256
"""Strips and columns summed at a time."""
QUERIES, OTHERS = 32, 32
"""Gaussians ranked by one program, and those they are compared with at a time."""


@dataclass(frozen=True)
class Strips:
    """How a grid is cut for a neighborhood: tile (x, z) reads `runs` strips from (x, z) on."""

    shape: tuple[int, int]
    """Voxels of a strip in x and z."""
    wide: int
    """Strips in x; they begin at voxel -neighborhood."""
    layers: int
    """Strips in z; one if a tile is as high as the grid."""
    columns: int
    """Voxels along y; column c is voxel c - neighborhood."""
    runs: tuple[int, int]


@dataclass(frozen=True)
class SortedGaussians:
    """The Gaussians of a batch that reach the grid, sorted; what lies behind them is undefined."""

    records: Tensor
    """float32 [B, RECORD, N] of triton_geometry."""
    values: Tensor
    """Logits float32 [B, N, K padded with zeros]."""
    order: Tensor
    """int32 [B, N]: where each came from."""
    bins: Tensor
    """int32 [B, N] in the original order; -1 for those left out."""
    starts: Tensor
    """int32 [B, layers * wide, columns + 1]: first of each bin; the last is how many there are."""
    strips: Strips


def sort_gaussians(
    inputs: tuple[Tensor, ...], grid: VoxelGrid, neighborhood: int, tile: tuple[int, int, int]
) -> SortedGaussians:
    """Sort means, scales, quaternions, opacities and logits [B, N, ...] into strips of tiles."""
    means, classes = inputs[0], inputs[4].shape[-1]
    batch, count = means.shape[:2]
    padded = pad_classes(classes)
    strips = cut(grid, neighborhood, tile)
    bins, arrivals, listed, listed_bins, order = means.new_empty(5, batch, count, dtype=int32)
    counts = means.new_zeros(batch, strips.layers * strips.wide, strips.columns + 1, dtype=int32)
    starts = counts.new_empty(counts.shape)
    records = means.new_empty(batch, RECORD.value, count)
    values = means.new_empty(batch, count, padded)
    space = (*grid.lower, grid.voxel_size)
    blocks = max(1, -(-count // BLOCK))
    count_kernel[(blocks, batch)](
        *inputs,
        bins,
        arrivals,
        counts,
        *space,
        *grid.shape,
        count,
        strips.wide,
        strips.layers,
        strips.columns,
        neighborhood,
        classes,
        padded,
        *strips.shape,
        BLOCK,
        num_warps=4,
    )
    start_kernel[(counts.shape[1], batch)](
        counts, starts, strips.columns, STRIPS, COLUMNS, num_warps=4
    )
    to_bins = (starts, listed, listed_bins, count, counts.shape[1] * counts.shape[2])
    place_kernel[(blocks, batch)](bins, arrivals, *to_bins, BLOCK, num_warps=4)
    rank_kernel[(max(1, -(-count // QUERIES)), batch)](
        *inputs,
        *to_bins,
        order,
        records,
        values,
        *space,
        classes,
        padded,
        QUERIES,
        OTHERS,
        num_warps=1,
    )
    return SortedGaussians(records, values, order, bins, starts, strips)


def cut(grid: VoxelGrid, neighborhood: int, tile: tuple[int, int, int]) -> Strips:
    """Strips as wide and high as the tiles."""
    tiles_x, tiles_z = -(-grid.shape[0] // tile[0]), -(-grid.shape[2] // tile[2])
    runs_x, runs_z = 1 - (-2 * neighborhood // tile[0]), 1 - (-2 * neighborhood // tile[2])
    if tiles_z == 1:
        runs_z = 1
    return Strips(
        shape=(tile[0], tile[2]),
        wide=tiles_x + runs_x - 1,
        layers=tiles_z + runs_z - 1,
        columns=grid.shape[1] + 2 * neighborhood,
        runs=(runs_x, runs_z),
    )


def pad_classes(classes: int) -> int:
    """Columns that a matrix product takes for so many classes."""
    return max(16, triton.next_power_of_2(classes))


@triton.jit
def rank_kernel(
    means,
    scales,
    quats,
    opacities,
    logits,
    starts,
    listed,
    listed_bins,
    gaussians,
    starts_of_item,
    order,
    records,
    values,
    lower_x,
    lower_y,
    lower_z,
    voxel_size,
    CLASSES: tl.constexpr,  # noqa: N803
    CLASSES_PADDED: tl.constexpr,  # noqa: N803
    QUERIES: tl.constexpr,  # noqa: N803
    OTHERS: tl.constexpr,  # noqa: N803
):
    """Write the records of a few listed Gaussians where they belong."""
    first = tl.program_id(0) * QUERIES
    batch = tl.program_id(1).to(tl.int64)
    starts += batch * starts_of_item
    listed += batch * gaussians
    listed_bins += batch * gaussians
    order += batch * gaussians
    records += batch * gaussians * RECORD
    values += batch * gaussians * CLASSES_PADDED
    used = tl.load(starts + starts_of_item - 1)
    if first >= used:
        return
    position = first + tl.arange(0, QUERIES)
    real = position < used
    number = tl.load(listed + position, real, 0)
    mine = tl.load(listed_bins + position, real, 0)
    index = batch * gaussians + number
    channel = tl.arange(0, CLASSES_PADDED)
    logit = tl.load(
        logits + index[:, None] * CLASSES + channel[None, :],
        real[:, None] & (channel < CLASSES)[None, :],
        0.0,
    )
    opacity = tl.load(opacities + index, real, 0.0)
    a, b, c, d, e, f, g, h, i, _ = whitening(quats, scales, index, real)
    scale = voxel_size * TO_EXP2
    a, b, c = a * scale, b * scale, c * scale
    d, e, f = d * scale, e * scale, f * scale
    g, h, i = g * scale, h * scale, i * scale
    home_x, home_y, home_z = home_voxel(means, index, real, lower_x, lower_y, lower_z, voxel_size)
    x = from_home(means, index, real, home_x, lower_x, voxel_size, 0)
    y = from_home(means, index, real, home_y, lower_y, voxel_size, 1)
    z = from_home(means, index, real, home_z, lower_z, voxel_size, 2)
    record = (home_x, home_y, home_z, opacity, a, b, c, d, e, f, g, h, i)
    record += (x * a + y * d + z * g, x * b + y * e + z * h, x * c + y * f + z * i)

    begin = tl.load(starts + tl.load(listed_bins + first))
    end = tl.load(starts + tl.load(listed_bins + tl.minimum(first + QUERIES, used) - 1) + 1)
    before = tl.zeros((OTHERS, QUERIES), tl.int32)
    for start in range(begin, end, OTHERS):
        other = start + tl.arange(0, OTHERS)
        theirs = tl.load(listed_bins + other, other < end, 2147483647)[:, None]
        earlier = tl.load(listed + other, other < end, 0)[:, None] < number[None, :]
        earlier = (theirs < mine[None, :]) | ((theirs == mine[None, :]) & earlier)
        before += earlier.to(tl.int32)
    place = begin + tl.sum(before, 0)
    tl.store(order + place, number, real)
    to = values + place.to(tl.int64)[:, None] * CLASSES_PADDED + channel[None, :]
    tl.store(to, logit, real[:, None])
    at = records + place
    for field in tl.static_range(RECORD):
        tl.store(at, record[field], real)
        at += gaussians
