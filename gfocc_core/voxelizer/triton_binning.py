# mypy: disable-error-code="no-untyped-def"
"""Triton kernel that lists the Gaussians near every strip of voxels along x, in their own order.

Strips times segments of the Gaussians run side by side; no atomics. Called by triton_backend only.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def bin_kernel(
    means,
    lists,
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
    capacity,
    NEIGHBORHOOD: tl.constexpr,  # noqa: N803
    STRIP: tl.constexpr,  # noqa: N803
    SEGMENTS: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
):
    """List, in order, the Gaussians of one segment of all that reach one strip of x."""
    strip = tl.program_id(0)
    segment = tl.program_id(1)
    batch = tl.program_id(2).to(tl.int64)
    means += batch * gaussians * 3
    mine = (batch * strips + strip) * SEGMENTS + segment
    first_x = strip * STRIP
    last_x = tl.minimum(first_x + STRIP, size_x) - 1
    begin = segment * capacity
    end = tl.minimum(begin + capacity, gaussians)
    found = 0
    for start in range(begin, end, BLOCK):
        index = start + tl.arange(0, BLOCK)
        real = index < end
        x = tl.floor((tl.load(means + index * 3, real, 0.0) - lower_x) / voxel_size)
        y = tl.floor((tl.load(means + index * 3 + 1, real, 0.0) - lower_y) / voxel_size)
        z = tl.floor((tl.load(means + index * 3 + 2, real, 0.0) - lower_z) / voxel_size)
        near = real & (x >= first_x - NEIGHBORHOOD) & (x <= last_x + NEIGHBORHOOD)
        near &= (y >= -NEIGHBORHOOD) & (y < size_y + NEIGHBORHOOD)
        near &= (z >= -NEIGHBORHOOD) & (z < size_z + NEIGHBORHOOD)
        place = found + tl.cumsum(near.to(tl.int32), 0) - 1
        tl.store(lists + mine * capacity + place, index, near)
        found += tl.sum(near.to(tl.int32), 0)
    tl.store(counts + mine, found)
