# mypy: disable-error-code="no-untyped-def, assignment, misc"
"""Triton kernel of the voxelizer's sums: each tile of voxels gathers what reaches it.

What may reach a tile are a few runs of the sorted Gaussians (triton_sorting), one in each strip
near it. A tile sums them up in that order, without atomics, so results are the same bit for bit.
Called by triton_backend only.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gfocc_core.voxelizer.triton_geometry import RECORD


@triton.jit
def _dot_in_three(left, right, total):
    """Matrix product with float32's accuracy from three of TF32's, for finite numbers.

    The compiler's own "tf32x3" spends a quarter of the loop on infinite ones.
    """
    coarse = (left.to(tl.int32, bitcast=True) & -8192).to(tl.float32, bitcast=True)
    coarse_right = (right.to(tl.int32, bitcast=True) & -8192).to(tl.float32, bitcast=True)
    total = tl.dot(left - coarse, coarse_right, total, input_precision="tf32")
    total = tl.dot(coarse, right - coarse_right, total, input_precision="tf32")
    return tl.dot(coarse, coarse_right, total, input_precision="tf32")


@triton.jit
def gather_kernel(
    records,
    values,
    starts,
    density_out,
    logits_out,
    labels_out,
    size_x,
    size_y,
    size_z,
    gaussians,
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
    GROUP: tl.constexpr,  # noqa: N803
    PRECISION: tl.constexpr,  # noqa: N803
    AS_LABELS: tl.constexpr,  # noqa: N803
):
    """Sum up one tile: unclamped density and logits, or labels and cleaned density at once."""
    tiles_z = tl.cdiv(size_z, TILE_Z)
    tile_x = tl.program_id(0)
    tile_y = tl.program_id(1) // tiles_z
    tile_z = tl.program_id(1) % tiles_z
    batch = tl.program_id(2).to(tl.int64)
    VOXELS: tl.constexpr = TILE_X * TILE_Y * TILE_Z  # noqa: N806
    RUNS: tl.constexpr = 2 * ((NEIGHBORHOOD + TILE_X - 1) // TILE_X) + 1  # noqa: N806
    lane = tl.arange(0, VOXELS)
    voxel_x = tile_x * TILE_X + lane // (TILE_Y * TILE_Z)
    voxel_y = tile_y * TILE_Y + lane // TILE_Z % TILE_Y
    voxel_z = tile_z * TILE_Z + lane % TILE_Z
    x = voxel_x.to(tl.float32)[:, None]
    y = voxel_y.to(tl.float32)[:, None]
    z = voxel_z.to(tl.float32)[:, None]
    channel = tl.arange(0, CLASSES_PADDED)

    columns = size_y + 2 * NEIGHBORHOOD
    first_column = tile_y * TILE_Y
    end_column = tl.minimum(first_column + TILE_Y + 2 * NEIGHBORHOOD, columns)
    strips = tl.num_programs(0) + RUNS - 1
    starts += (batch * strips + tile_x) * (columns + 1)
    count = 0
    shifts = ()
    ends = ()
    for run in tl.static_range(RUNS):
        begin = tl.load(starts + run * (columns + 1) + first_column)
        end = tl.load(starts + run * (columns + 1) + end_column)
        shifts += (begin - count,)
        count += end - begin
        ends += (count,)

    records += batch * gaussians * RECORD
    values += batch * gaussians * CLASSES_PADDED
    density = tl.zeros((VOXELS, GROUP), tl.float32)
    logits = tl.zeros((VOXELS, CLASSES_PADDED), tl.float32)
    for first in range(0, count, GROUP):
        slot = first + tl.arange(0, GROUP)
        real = slot < count
        shift = tl.zeros((GROUP,), tl.int32) + shifts[0]
        for run in tl.static_range(1, RUNS):
            shift = tl.where(slot >= ends[run - 1], shifts[run], shift)
        place = (slot + shift).to(tl.int64)
        record = ()
        for field in tl.static_range(RECORD):
            record += (tl.load(records + field * gaussians + place, real, 0.0)[None, :],)
        home_x, home_y, home_z, opacity, a, b, c, d, e, f, g, h, i, u, v, w = record
        logit = tl.load(
            values + place[:, None] * CLASSES_PADDED + channel[None, :], real[:, None], 0.0
        )
        step_x, step_y, step_z = x - home_x, y - home_y, z - home_z
        # A thread's voxels share few z, y and x: terms in this order are mostly common to several.
        far = tl.where(tl.abs(step_z) <= NEIGHBORHOOD, 0.0, float("inf"))
        far += tl.where(tl.abs(step_y) <= NEIGHBORHOOD, 0.0, float("inf"))
        far += tl.where(tl.abs(step_x) <= NEIGHBORHOOD, 0.0, float("inf"))
        first_axis = step_x * a + (step_y * d + (step_z * g - u))
        second_axis = step_x * b + (step_y * e + (step_z * h - v))
        third_axis = step_x * c + (step_y * f + (step_z * i - w))
        far += first_axis * first_axis
        far += second_axis * second_axis
        far += third_axis * third_axis
        weight = tl.exp2(-far)
        density += weight * opacity
        if PRECISION == "tf32x3":
            logits = _dot_in_three(weight, logit, logits)
        else:
            logits = tl.dot(weight, logit, logits, input_precision=PRECISION)

    density = tl.sum(density, 1)
    inside = (voxel_x < size_x) & (voxel_y < size_y) & (voxel_z < size_z)
    voxel = ((batch * size_x + voxel_x) * size_y + voxel_y) * size_z + voxel_z
    if AS_LABELS:
        density = tl.minimum(tl.maximum(density, 0.0), 1.0)
        density = tl.where((density < floor) | (voxel_z >= ceiling), 0.0, density)
        logits = tl.where((channel < CLASSES)[None, :], logits, float("-inf"))
        label = tl.where(density >= threshold, tl.argmax(logits, 1) + 1, free_id)
        tl.store(density_out + voxel, density, inside)
        tl.store(labels_out + voxel, label.to(tl.uint8), inside)
    else:
        tl.store(density_out + voxel, density, inside)
        tl.store(
            logits_out + voxel[:, None] * CLASSES + channel[None, :],
            logits,
            inside[:, None] & (channel < CLASSES)[None, :],
        )
