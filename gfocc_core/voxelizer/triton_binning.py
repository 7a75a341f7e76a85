# mypy: disable-error-code="no-untyped-def"
"""Triton kernels of a counting sort that puts the usable Gaussians in order of their bins.

A strip is a bar of voxels along y, as wide and high as a tile; a bin is one voxel of it along y.
Atomics only count: whoever adds first, the sums are the same, and the order in which Gaussians
arrive in a bin is forgotten by triton_sorting, the only caller.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gfocc_core.voxelizer.triton_geometry import home_voxel, whitening


@triton.jit
def count_kernel(
    means,
    scales,
    quats,
    opacities,
    values,
    bins,
    arrivals,
    counts,
    lower_x,
    lower_y,
    lower_z,
    voxel_size,
    size_x,
    size_y,
    size_z,
    gaussians,
    wide,
    layers,
    columns,
    NEIGHBORHOOD: tl.constexpr,  # noqa: N803
    CLASSES: tl.constexpr,  # noqa: N803
    CLASSES_PADDED: tl.constexpr,  # noqa: N803
    STRIP_X: tl.constexpr,  # noqa: N803
    STRIP_Z: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
):
    """Bin of each Gaussian (-1: contributes nothing), who came before it there, and the counts.

    counts [layers * wide, columns + 1] starts as zeros; its last column counts a whole strip.
    """
    batch = tl.program_id(1).to(tl.int64)
    number = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    real = number < gaussians
    index = batch * gaussians + number
    usable = whitening(quats, scales, index, real)[9]
    usable &= real & (tl.abs(tl.load(opacities + index, real, 0.0)) < float("inf"))
    channel = tl.arange(0, CLASSES_PADDED)
    logit = tl.load(
        values + index[:, None] * CLASSES + channel[None, :],
        real[:, None] & (channel < CLASSES)[None, :],
        0.0,
    )
    usable &= tl.max((tl.abs(logit) < float("inf")).to(tl.int32) ^ 1, 1) == 0
    x, y, z = home_voxel(means, index, real, lower_x, lower_y, lower_z, voxel_size)
    x, y, z = x + NEIGHBORHOOD, y + NEIGHBORHOOD, z + NEIGHBORHOOD
    usable &= (x >= 0) & (x < size_x + 2 * NEIGHBORHOOD)
    usable &= (y >= 0) & (y < size_y + 2 * NEIGHBORHOOD)
    usable &= (z >= 0) & (z < size_z + 2 * NEIGHBORHOOD)
    x, y, z = tl.where(usable, x, 0.0), tl.where(usable, y, 0.0), tl.where(usable, z, 0.0)
    layer = tl.minimum(z.to(tl.int32) // STRIP_Z, layers - 1)
    strip = (layer * wide + x.to(tl.int32) // STRIP_X) * (columns + 1)
    bin_of = strip + y.to(tl.int32)
    counts += batch * layers * wide * (columns + 1)
    arrival = tl.atomic_add(counts + bin_of, 1, usable, sem="relaxed")
    tl.atomic_add(counts + strip + columns, 1, usable, sem="relaxed")
    tl.store(arrivals + index, arrival, real)
    tl.store(bins + index, tl.where(usable, bin_of, -1), real)


@triton.jit
def start_kernel(
    counts,
    starts,
    columns,
    STRIPS: tl.constexpr,  # noqa: N803
    COLUMNS: tl.constexpr,  # noqa: N803
):
    """Where each column of one strip starts, after all earlier strips and columns."""
    strip = tl.program_id(0)
    row = columns + 1
    to_batch = tl.program_id(1).to(tl.int64) * tl.num_programs(0) * row
    counts += to_batch
    starts += to_batch + strip * row
    earlier = tl.zeros((STRIPS,), tl.int32)
    for first in range(0, strip, STRIPS):
        other = first + tl.arange(0, STRIPS)
        earlier += tl.load(counts + other * row + columns, other < strip, 0)
    start = tl.sum(earlier, 0)
    for first in range(0, row, COLUMNS):
        column = first + tl.arange(0, COLUMNS)
        count = tl.load(counts + strip * row + column, column < columns, 0)
        tl.store(starts + column, start + tl.cumsum(count, 0) - count, column < row)
        start += tl.sum(count, 0)


@triton.jit
def place_kernel(
    bins,
    arrivals,
    starts,
    listed,
    listed_bins,
    gaussians,
    starts_of_item,
    BLOCK: tl.constexpr,  # noqa: N803
):
    """List the Gaussians by bin, within one as they arrived."""
    batch = tl.program_id(1).to(tl.int64)
    number = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    real = number < gaussians
    to_item = batch * gaussians
    bin_of = tl.load(bins + to_item + number, real, -1)
    arrival = tl.load(arrivals + to_item + number, real, 0)
    usable = bin_of >= 0
    slot = to_item + tl.load(starts + batch * starts_of_item + bin_of, usable, 0) + arrival
    tl.store(listed + slot, number, usable)
    tl.store(listed_bins + slot, bin_of, usable)
