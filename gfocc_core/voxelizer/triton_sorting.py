# mypy: disable-error-code="no-untyped-def, assignment, misc"
"""Sorts Gaussians by strip along x and voxel along y, so that tiles read them as runs of memory.

Within its strip a Gaussian goes behind all of smaller columns and those of its own listed before
it: each counts them. Fixed launch shapes, no atomics, the same order every time.
"""

from __future__ import annotations

from dataclasses import dataclass

import triton
import triton.language as tl
from torch import Tensor, int32

from gfocc_core.grid import VoxelGrid
from gfocc_core.voxelizer.triton_binning import count_kernel, place_kernel
from gfocc_core.voxelizer.triton_geometry import RECORD, TO_EXP2, from_home, home_voxel, whitening

BLOCK = 256
"""Gaussians of one program of the counting sort."""
CHUNK, ROWS = 64, 16
"""Strips and blocks whose counts are summed at a time."""
QUERIES, OTHERS = 32, 64
"""Gaussians ranked at a time, and those they are compared with at a time."""
MOST_RANKERS = 64
"""Programs that share one strip, at most."""


@dataclass(frozen=True)
class SortedGaussians:
    """The Gaussians of a batch that reach the grid, sorted; what lies behind them is undefined."""

    records: Tensor
    """float32 [B, RECORD, N] of triton_geometry."""
    values: Tensor
    """Logits float32 [B, N, K padded with zeros]."""
    order: Tensor
    """int32 [B, N]: where each came from."""
    starts: Tensor
    """int32 [B, strips, columns + 1]: first of each column; column c is voxel c - neighborhood."""
    bases: Tensor
    """int32 [B, strips + 1]: first of each strip; the last is how many there are."""


def sort_gaussians(
    inputs: tuple[Tensor, ...], grid: VoxelGrid, neighborhood: int, strip: int
) -> SortedGaussians:
    """Sort means, scales, quaternions, opacities and logits [B, N, ...] into strips of voxels."""
    means, classes = inputs[0], inputs[4].shape[-1]
    batch, count = means.shape[:2]
    padded = pad_classes(classes)
    strips = -(-grid.shape[0] // strip) + 2 * -(-neighborhood // strip)
    columns = grid.shape[1] + 2 * neighborhood
    blocks = max(1, -(-count // BLOCK))
    strip_of, column_of, listed, listed_column, order = means.new_empty(
        5, batch, count, dtype=int32
    )
    counts = means.new_empty(batch, blocks, strips, dtype=int32)
    bases = means.new_empty(batch, strips + 1, dtype=int32)
    starts = means.new_empty(batch, strips, columns + 1, dtype=int32)
    records = means.new_empty(batch, RECORD.value, count)
    values = means.new_empty(batch, count, padded)
    space = (*grid.lower, grid.voxel_size)
    count_kernel[(blocks, batch)](
        *inputs,
        strip_of,
        column_of,
        counts,
        *space,
        *grid.shape,
        count,
        strips,
        neighborhood,
        classes,
        padded,
        strip,
        BLOCK,
        CHUNK,
        num_warps=8,
    )
    place_kernel[(blocks, batch)](
        strip_of,
        column_of,
        counts,
        bases,
        listed,
        listed_column,
        count,
        strips,
        BLOCK,
        CHUNK,
        ROWS,
        num_warps=8,
    )
    rankers = -(-count // (strips * QUERIES)) + -(-(columns + 1) // QUERIES)
    rank_kernel[(strips, min(rankers, MOST_RANKERS), batch)](
        *inputs,
        listed,
        listed_column,
        bases,
        starts,
        order,
        records,
        values,
        *space,
        count,
        columns,
        classes,
        padded,
        QUERIES,
        OTHERS,
        num_warps=4,
    )
    return SortedGaussians(records, values, order, starts, bases)


def pad_classes(classes: int) -> int:
    """Columns that a matrix product takes for so many classes."""
    return max(16, triton.next_power_of_2(classes))


@triton.jit
def _count_before(
    columns,
    begin,
    end,
    column,
    position,
    QUERIES: tl.constexpr,  # noqa: N803
    OTHERS: tl.constexpr,  # noqa: N803
):
    """How many in begin..end sort before each (column, position)."""
    before = tl.zeros((QUERIES, OTHERS), tl.int32)
    for start in range(begin, end, OTHERS):
        other = start + tl.arange(0, OTHERS)
        theirs = tl.load(columns + other, other < end, 2147483647)[None, :]
        less = theirs < column[:, None]
        less |= (theirs == column[:, None]) & (other[None, :] < position[:, None])
        before += less.to(tl.int32)
    return tl.sum(before, 1)


@triton.jit
def rank_kernel(
    means,
    scales,
    quats,
    opacities,
    logits,
    listed,
    listed_column,
    bases,
    starts,
    order,
    records,
    values,
    lower_x,
    lower_y,
    lower_z,
    voxel_size,
    gaussians,
    columns,
    CLASSES: tl.constexpr,  # noqa: N803
    CLASSES_PADDED: tl.constexpr,  # noqa: N803
    QUERIES: tl.constexpr,  # noqa: N803
    OTHERS: tl.constexpr,  # noqa: N803
):
    """Write a share of one strip's records where they belong, and where its columns start."""
    strip = tl.program_id(0)
    share = tl.program_id(1)
    shares = tl.num_programs(1)
    batch = tl.program_id(2).to(tl.int64)
    bases += batch * (tl.num_programs(0) + 1) + strip
    begin = tl.load(bases)
    end = tl.load(bases + 1)
    listed += batch * gaussians
    listed_column += batch * gaussians
    order += batch * gaussians
    records += batch * gaussians * RECORD
    values += batch * gaussians * CLASSES_PADDED
    starts += (batch * tl.num_programs(0) + strip) * (columns + 1)
    lane = tl.arange(0, QUERIES)
    for first in range((shares - 1 - share) * QUERIES, columns + 1, shares * QUERIES):
        column = first + lane
        start = begin + _count_before(
            listed_column, begin, end, column, tl.zeros_like(column), QUERIES, OTHERS
        )
        tl.store(starts + column, start, column <= columns)
    for first in range(begin + share * QUERIES, end, shares * QUERIES):
        position = first + lane
        real = position < end
        column = tl.load(listed_column + position, real, 0)
        number = tl.load(listed + position, real, 0)
        place = begin + _count_before(listed_column, begin, end, column, position, QUERIES, OTHERS)
        index = batch * gaussians + number
        tl.store(order + place, number, real)
        channel = tl.arange(0, CLASSES_PADDED)
        logit = tl.load(
            logits + index[:, None] * CLASSES + channel[None, :],
            real[:, None] & (channel < CLASSES)[None, :],
            0.0,
        )
        to = values + place.to(tl.int64)[:, None] * CLASSES_PADDED + channel[None, :]
        tl.store(to, logit, real[:, None])
        a, b, c, d, e, f, g, h, i, _ = whitening(quats, scales, index, real)
        scale = voxel_size * TO_EXP2
        a, b, c = a * scale, b * scale, c * scale
        d, e, f = d * scale, e * scale, f * scale
        g, h, i = g * scale, h * scale, i * scale
        home_x, home_y, home_z = home_voxel(
            means, index, real, lower_x, lower_y, lower_z, voxel_size
        )
        x = from_home(means, index, real, home_x, lower_x, voxel_size, 0)
        y = from_home(means, index, real, home_y, lower_y, voxel_size, 1)
        z = from_home(means, index, real, home_z, lower_z, voxel_size, 2)
        opacity = tl.load(opacities + index, real, 0.0)
        record = (home_x, home_y, home_z, opacity, a, b, c, d, e, f, g, h, i)
        record += (x * a + y * d + z * g, x * b + y * e + z * h, x * c + y * f + z * i)
        at = records + place
        for field in tl.static_range(RECORD):
            tl.store(at, record[field], real)
            at += gaussians
