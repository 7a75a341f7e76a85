# mypy: disable-error-code="no-untyped-def, assignment, misc"
"""Triton kernel of the voxelizer's sums: each tile of voxels gathers what reaches it.

What may reach a tile are a few runs of the sorted Gaussians (triton_sorting), one in each strip
near it. A tile sums them up in that order, without atomics, so results are the same bit for bit.
One warp works on 64 voxels without waiting for others, and its threads on a Gaussian each. Called
by triton_backend only.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gfocc_core.voxelizer.triton_geometry import RECORD

SUMS = tl.constexpr(8)
"""Equal columns of a row sum: the fewest of a matrix product."""


@triton.jit
def _coarse(value):
    """What TF32 keeps of a float32.

    Three products of coarse parts and rests have float32's accuracy. The compiler's own "tf32x3"
    spends a quarter of the loop on infinite ones.
    """
    return (value.to(tl.int32, bitcast=True) & -8192).to(tl.float32, bitcast=True)


@triton.jit
def _if_near(step, value, NEIGHBORHOOD: tl.constexpr):  # noqa: N803
    """Value, or where the step leaves the neighborhood an infinite one: no weight there."""
    return tl.where(tl.abs(step) <= NEIGHBORHOOD, value, float("inf"))


@triton.jit
def _sum_rows(terms, GROUP: tl.constexpr):  # noqa: N803
    """Sum along axis 1 by matrix products with ones, which take fewer shuffles than a reduction."""
    ones = tl.full((GROUP, SUMS), 1.0, tl.float32)
    coarse = _coarse(terms)
    total = tl.dot(terms - coarse, ones, input_precision="tf32")
    return tl.max(tl.dot(coarse, ones, total, input_precision="tf32"), 1)


@triton.jit
def _argmax(values, channel, CLASSES: tl.constexpr):  # noqa: N803
    """First channel of the largest value in each row."""
    values = tl.where((channel < CLASSES)[None, :], values, float("-inf"))
    best = values == tl.max(values, 1)[:, None]
    return tl.min(tl.where(best, channel[None, :], CLASSES - 1), 1)


@triton.jit
def gather_kernel(
    records,
    values,
    starts,
    density_out,
    total_out,
    logits_out,
    labels_out,
    size_x,
    size_y,
    size_z,
    gaussians,
    wide,
    layers,
    columns,
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
    RUNS_X: tl.constexpr,  # noqa: N803
    RUNS_Z: tl.constexpr,  # noqa: N803
    GROUP: tl.constexpr,  # noqa: N803
    AS_LABELS: tl.constexpr,  # noqa: N803
    WITH_TOTAL: tl.constexpr,  # noqa: N803
):
    """Sum up one tile: density and logits, or labels and cleaned density; unclamped density too."""
    tiles_z = tl.cdiv(size_z, TILE_Z)
    tile_x = tl.program_id(0)
    tile_y = tl.program_id(1) // tiles_z
    tile_z = tl.program_id(1) % tiles_z
    batch = tl.program_id(2).to(tl.int64)
    VOXELS: tl.constexpr = TILE_X * TILE_Y * TILE_Z  # noqa: N806
    lane = tl.arange(0, VOXELS)
    voxel_x = tile_x * TILE_X + lane // (TILE_Y * TILE_Z)
    voxel_y = tile_y * TILE_Y + lane // TILE_Z % TILE_Y
    voxel_z = tile_z * TILE_Z + lane % TILE_Z
    x = voxel_x.to(tl.float32)[:, None]
    y = voxel_y.to(tl.float32)[:, None]
    z = voxel_z.to(tl.float32)[:, None]
    channel = tl.arange(0, CLASSES_PADDED)
    first_column = tile_y * TILE_Y
    end_column = tl.minimum(first_column + TILE_Y + 2 * NEIGHBORHOOD, columns)
    starts += (batch * layers * wide + tile_z * wide + tile_x) * (columns + 1)
    count = 0
    shifts = ()
    ends = ()
    for run in tl.static_range(RUNS_X * RUNS_Z):
        row = starts + (run // RUNS_X * wide + run % RUNS_X) * (columns + 1)
        begin = tl.load(row + first_column)
        end = tl.load(row + end_column)
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
        for run in tl.static_range(1, RUNS_X * RUNS_Z):
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
        first_axis = _if_near(step_x, step_x * a, NEIGHBORHOOD) + (
            _if_near(step_y, step_y * d, NEIGHBORHOOD)
            + _if_near(step_z, step_z * g - u, NEIGHBORHOOD)
        )
        second_axis = step_x * b + (step_y * e + (step_z * h - v))
        third_axis = step_x * c + (step_y * f + (step_z * i - w))
        exponent = 0.0 - first_axis * first_axis
        exponent -= second_axis * second_axis
        exponent -= third_axis * third_axis
        weight = tl.exp2(exponent)
        density += weight * opacity
        coarse = _coarse(weight)
        coarse_logit = _coarse(logit)
        logits = tl.dot(weight - coarse, coarse_logit, logits, input_precision="tf32")
        logits = tl.dot(coarse, logit - coarse_logit, logits, input_precision="tf32")
        logits = tl.dot(coarse, coarse_logit, logits, input_precision="tf32")

    total = _sum_rows(density, GROUP)
    inside = (voxel_x < size_x) & (voxel_y < size_y) & (voxel_z < size_z)
    voxel = ((batch * size_x + voxel_x) * size_y + voxel_y) * size_z + voxel_z
    density = tl.minimum(tl.maximum(total, 0.0), 1.0)
    if WITH_TOTAL:
        tl.store(total_out + voxel, total, inside)
    if AS_LABELS:
        density = tl.where((density < floor) | (voxel_z >= ceiling), 0.0, density)
        label = _argmax(logits, channel, CLASSES) + 1
        label = tl.where(density >= threshold, label, free_id)
        tl.store(labels_out + voxel, label.to(tl.uint8), inside)
    else:
        tl.store(
            logits_out + voxel[:, None] * CLASSES + channel[None, :],
            logits,
            inside[:, None] & (channel < CLASSES)[None, :],
        )
    tl.store(density_out + voxel, density, inside)
