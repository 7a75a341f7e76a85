# mypy: disable-error-code="no-untyped-def"
"""Triton kernels that put the usable Gaussians in order of their strip, a few voxels along x.

A counting sort without atomics: each block of Gaussians counts its strips, then places its own
after those of earlier strips and earlier blocks. Called by triton_sorting only.
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
    strip_of,
    column_of,
    counts,
    lower_x,
    lower_y,
    lower_z,
    voxel_size,
    size_x,
    size_y,
    size_z,
    gaussians,
    strips,
    NEIGHBORHOOD: tl.constexpr,  # noqa: N803
    CLASSES: tl.constexpr,  # noqa: N803
    CLASSES_PADDED: tl.constexpr,  # noqa: N803
    STRIP: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
    CHUNK: tl.constexpr,  # noqa: N803
):
    """Strip (-1: contributes nothing) and column of each Gaussian, and the block's strip counts."""
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
    usable &= tl.min((tl.abs(logit) < float("inf")).to(tl.int32), 1) != 0
    x, y, z = home_voxel(means, index, real, lower_x, lower_y, lower_z, voxel_size)
    usable &= (x >= -NEIGHBORHOOD) & (x < size_x + NEIGHBORHOOD)
    usable &= (y >= -NEIGHBORHOOD) & (y < size_y + NEIGHBORHOOD)
    usable &= (z >= -NEIGHBORHOOD) & (z < size_z + NEIGHBORHOOD)
    MARGIN: tl.constexpr = (NEIGHBORHOOD + STRIP - 1) // STRIP * STRIP  # noqa: N806
    strip = tl.where(usable, x, 0.0).to(tl.int32) + MARGIN
    strip = tl.where(usable, strip // STRIP, -1)
    tl.store(strip_of + index, strip, real)
    tl.store(column_of + index, tl.where(usable, y, 0.0).to(tl.int32) + NEIGHBORHOOD, real)
    counts += (batch * tl.num_programs(0) + tl.program_id(0)) * strips
    for first in range(0, strips, CHUNK):
        name = first + tl.arange(0, CHUNK)
        found = tl.sum((strip[:, None] == name[None, :]).to(tl.int32), 0)
        tl.store(counts + name, found, name < strips)


@triton.jit
def place_kernel(
    strip_of,
    column_of,
    counts,
    bases,
    listed,
    listed_column,
    gaussians,
    strips,
    BLOCK: tl.constexpr,  # noqa: N803
    CHUNK: tl.constexpr,  # noqa: N803
    ROWS: tl.constexpr,  # noqa: N803
):
    """List a block's Gaussians by strip, stably; bases [strips + 1] says where each begins."""
    block = tl.program_id(0)
    blocks = tl.num_programs(0)
    batch = tl.program_id(1).to(tl.int64)
    strip_of += batch * gaussians
    counts += batch * blocks * strips
    bases += batch * (strips + 1)
    lane = tl.arange(0, BLOCK)
    number = block * BLOCK + lane
    strip = tl.load(strip_of + number, number < gaussians, -1)
    place = tl.zeros((BLOCK,), tl.int32)
    carry = 0
    for first in range(0, strips, CHUNK):
        name = first + tl.arange(0, CHUNK)
        total = tl.zeros((ROWS, CHUNK), tl.int32)
        earlier = tl.zeros((ROWS, CHUNK), tl.int32)
        for start in range(0, blocks, ROWS):
            row = (start + tl.arange(0, ROWS))[:, None]
            known = (row < blocks) & (name < strips)[None, :]
            count = tl.load(counts + row * strips + name[None, :], known, 0)
            total += count
            earlier += tl.where(row < block, count, 0)
        summed = tl.sum(total, 0)
        base = carry + tl.cumsum(summed, 0) - summed
        carry += tl.sum(summed, 0)
        if block == 0:
            tl.store(bases + name, base, name < strips)
        base += tl.sum(earlier, 0)
        place += tl.sum(tl.where(strip[:, None] == name[None, :], base[None, :], 0), 1)
    if block == 0:
        tl.store(bases + strips, carry)
    for first in range(0, BLOCK, CHUNK):
        other = first + tl.arange(0, CHUNK)
        number_of_other = block * BLOCK + other
        theirs = tl.load(strip_of + number_of_other, number_of_other < gaussians, -1)
        before = (strip[:, None] == theirs[None, :]) & (other[None, :] < lane[:, None])
        place += tl.sum(before.to(tl.int32), 1)
    column = tl.load(column_of + batch * gaussians + number, number < gaussians, 0)
    tl.store(listed + batch * gaussians + place, number, strip >= 0)
    tl.store(listed_column + batch * gaussians + place, column, strip >= 0)
