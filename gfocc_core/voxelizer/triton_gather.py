# mypy: disable-error-code="no-untyped-def"
"""Triton kernel of the voxelizer's sums: each tile of voxels gathers what reaches it.

A tile filters the list of its strip (triton_binning) and sums up in that list's order, without
atomics, so results are the same bit for bit. Called by triton_backend only.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gfocc_core.voxelizer.triton_geometry import whitening


@triton.jit
def _accumulate(
    density,
    logits,
    chosen,
    count,
    means,
    scales,
    quats,
    opacities,
    values,
    voxel_x,
    voxel_y,
    voxel_z,
    lower_x,
    lower_y,
    lower_z,
    voxel_size,
    NEIGHBORHOOD: tl.constexpr,  # noqa: N803
    CLASSES: tl.constexpr,  # noqa: N803
    CLASSES_PADDED: tl.constexpr,  # noqa: N803
    GROUP: tl.constexpr,  # noqa: N803
    PRECISION: tl.constexpr,  # noqa: N803
):
    """Add the chosen Gaussians to a tile's voxels, GROUP at a time."""
    channel = tl.arange(0, CLASSES_PADDED)
    center_x = (lower_x + (voxel_x.to(tl.float32) + 0.5) * voxel_size)[:, None]
    center_y = (lower_y + (voxel_y.to(tl.float32) + 0.5) * voxel_size)[:, None]
    center_z = (lower_z + (voxel_z.to(tl.float32) + 0.5) * voxel_size)[:, None]
    for start in range(0, count, GROUP):
        slot = start + tl.arange(0, GROUP)
        real = slot < count
        index = tl.load(chosen + slot, real, 0).to(tl.int64)
        mean_x = tl.load(means + index * 3, real, 0.0)
        mean_y = tl.load(means + index * 3 + 1, real, 0.0)
        mean_z = tl.load(means + index * 3 + 2, real, 0.0)
        opacity = tl.load(opacities + index, real, 0.0)
        logit = tl.load(
            values + index[:, None] * CLASSES + channel[None, :],
            real[:, None] & (channel < CLASSES)[None, :],
            0.0,
        )
        a, b, c, d, e, f, g, h, i, usable = whitening(quats, scales, index, real)
        sound = tl.abs(logit) < float("inf")
        usable &= (tl.min(sound.to(tl.int32), 1) != 0) & (tl.abs(opacity) < float("inf"))
        usable &= real
        logit = tl.where(usable[:, None], logit, 0.0)
        opacity = tl.where(usable, opacity, 0.0)
        home_x = tl.floor((mean_x - lower_x) / voxel_size).to(tl.int32)
        home_y = tl.floor((mean_y - lower_y) / voxel_size).to(tl.int32)
        home_z = tl.floor((mean_z - lower_z) / voxel_size).to(tl.int32)
        near = usable[None, :] & (tl.abs(voxel_x[:, None] - home_x[None, :]) <= NEIGHBORHOOD)
        near &= tl.abs(voxel_y[:, None] - home_y[None, :]) <= NEIGHBORHOOD
        near &= tl.abs(voxel_z[:, None] - home_z[None, :]) <= NEIGHBORHOOD
        x = center_x - mean_x[None, :]
        y = center_y - mean_y[None, :]
        z = center_z - mean_z[None, :]
        along = x * a[None, :] + y * d[None, :] + z * g[None, :]
        square = along * along
        along = x * b[None, :] + y * e[None, :] + z * h[None, :]
        square += along * along
        along = x * c[None, :] + y * f[None, :] + z * i[None, :]
        square += along * along
        weight = tl.where(near, tl.exp(-0.5 * square), 0.0)
        density += tl.sum(weight * opacity[None, :], 1)
        logits = tl.dot(weight, logit, logits, input_precision=PRECISION)
    return density, logits


@triton.jit
def gather_kernel(
    means,
    scales,
    quats,
    opacities,
    values,
    lists,
    counts,
    chosen,
    density_out,
    logits_out,
    labels_out,
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
    floor,
    threshold,
    ceiling,
    free_id,
    NEIGHBORHOOD: tl.constexpr,  # noqa: N803
    CLASSES: tl.constexpr,  # noqa: N803
    CLASSES_PADDED: tl.constexpr,  # noqa: N803
    TILE_X: tl.constexpr,  # noqa: N803
    TILE_Y: tl.constexpr,  # noqa: N803
    TILE_Z: tl.constexpr,  # noqa: N803
    SEGMENTS: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
    ROOM: tl.constexpr,  # noqa: N803
    GROUP: tl.constexpr,  # noqa: N803
    PRECISION: tl.constexpr,  # noqa: N803
    AS_LABELS: tl.constexpr,  # noqa: N803
):
    """Sum up one tile: unclamped density and logits, or labels and cleaned density at once."""
    tiles_z = tl.cdiv(size_z, TILE_Z)
    tile_y = tl.program_id(1) // tiles_z
    tile_z = tl.program_id(1) % tiles_z
    strip = tl.program_id(0)
    batch = tl.program_id(2).to(tl.int64)
    tile = (batch * strips + strip) * tl.num_programs(1) + tl.program_id(1)
    chosen += tile * ROOM
    means += batch * gaussians * 3
    scales += batch * gaussians * 3
    quats += batch * gaussians * 4
    opacities += batch * gaussians
    values += batch * gaussians * CLASSES
    lane = tl.arange(0, TILE_X * TILE_Y * TILE_Z)
    voxel_x = strip * TILE_X + lane // (TILE_Y * TILE_Z)
    voxel_y = tile_y * TILE_Y + lane // TILE_Z % TILE_Y
    voxel_z = tile_z * TILE_Z + lane % TILE_Z
    low_y = tile_y * TILE_Y - NEIGHBORHOOD
    high_y = tl.minimum(tile_y * TILE_Y + TILE_Y, size_y) - 1 + NEIGHBORHOOD
    low_z = tile_z * TILE_Z - NEIGHBORHOOD
    high_z = tl.minimum(tile_z * TILE_Z + TILE_Z, size_z) - 1 + NEIGHBORHOOD
    density = tl.zeros((TILE_X * TILE_Y * TILE_Z,), tl.float32)
    logits = tl.zeros((TILE_X * TILE_Y * TILE_Z, CLASSES_PADDED), tl.float32)
    count = 0
    for segment in range(SEGMENTS):
        mine = (batch * strips + strip) * SEGMENTS + segment
        length = tl.load(counts + mine)
        for start in range(0, length, BLOCK):
            slot = start + tl.arange(0, BLOCK)
            real = slot < length
            index = tl.load(lists + mine * capacity + slot, real, 0)
            y = tl.floor((tl.load(means + index * 3 + 1, real, 0.0) - lower_y) / voxel_size)
            z = tl.floor((tl.load(means + index * 3 + 2, real, 0.0) - lower_z) / voxel_size)
            near = real & (y >= low_y) & (y <= high_y) & (z >= low_z) & (z <= high_z)
            place = count + tl.cumsum(near.to(tl.int32), 0) - 1
            tl.store(chosen + place, index, near)
            count += tl.sum(near.to(tl.int32), 0)
            if count > ROOM - BLOCK:
                tl.debug_barrier()
                density, logits = _accumulate(
                    density,
                    logits,
                    chosen,
                    count,
                    means,
                    scales,
                    quats,
                    opacities,
                    values,
                    voxel_x,
                    voxel_y,
                    voxel_z,
                    lower_x,
                    lower_y,
                    lower_z,
                    voxel_size,
                    NEIGHBORHOOD,
                    CLASSES,
                    CLASSES_PADDED,
                    GROUP,
                    PRECISION,
                )
                tl.debug_barrier()
                count = 0
    tl.debug_barrier()
    density, logits = _accumulate(
        density,
        logits,
        chosen,
        count,
        means,
        scales,
        quats,
        opacities,
        values,
        voxel_x,
        voxel_y,
        voxel_z,
        lower_x,
        lower_y,
        lower_z,
        voxel_size,
        NEIGHBORHOOD,
        CLASSES,
        CLASSES_PADDED,
        GROUP,
        PRECISION,
    )
    inside = (voxel_x < size_x) & (voxel_y < size_y) & (voxel_z < size_z)
    voxel = ((batch * size_x + voxel_x) * size_y + voxel_y) * size_z + voxel_z
    channel = tl.arange(0, CLASSES_PADDED)
    if AS_LABELS:
        density = tl.minimum(tl.maximum(density, 0.0), 1.0)
        density = tl.where((density < floor) | (voxel_z >= ceiling), 0.0, density)
        logits = tl.where((channel < CLASSES)[None, :], logits, float("-inf"))
        best = tl.argmax(logits, 1) + 1
        label = tl.where(density >= threshold, best, free_id)
        tl.store(density_out + voxel, density, inside)
        tl.store(labels_out + voxel, label.to(tl.uint8), inside)
    else:
        tl.store(density_out + voxel, density, inside)
        tl.store(
            logits_out + voxel[:, None] * CLASSES + channel[None, :],
            logits,
            inside[:, None] & (channel < CLASSES)[None, :],
        )
