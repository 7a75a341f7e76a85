# mypy: disable-error-code="no-untyped-def"
"""Triton kernel of the voxelizer's gradient: one program per Gaussian, no atomics.

Called by triton_backend only.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gfocc_core.voxelizer.triton_geometry import whitening


@triton.jit
def scatter_back_kernel(
    means,
    scales,
    quats,
    opacities,
    values,
    density,
    d_density,
    d_logits,
    d_means,
    d_scales,
    d_quats,
    d_opacities,
    d_values,
    lower_x,
    lower_y,
    lower_z,
    voxel_size,
    size_x,
    size_y,
    size_z,
    gaussians,
    NEIGHBORHOOD: tl.constexpr,  # noqa: N803
    CLASSES: tl.constexpr,  # noqa: N803
    CLASSES_PADDED: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
):
    """Gradients of one Gaussian's properties, from the voxels of its cube."""
    number = tl.program_id(0)
    batch = tl.program_id(1).to(tl.int64)
    index = batch * gaussians + number
    channel = tl.arange(0, CLASSES_PADDED)
    known = channel < CLASSES
    mean_x = tl.load(means + index * 3)
    mean_y = tl.load(means + index * 3 + 1)
    mean_z = tl.load(means + index * 3 + 2)
    opacity = tl.load(opacities + index)
    logit = tl.load(values + index * CLASSES + channel, known, 0.0)
    a, b, c, d, e, f, g, h, i, usable = whitening(quats, scales, index, True)
    usable &= (tl.abs(opacity) < float("inf")) & (tl.abs(mean_x) < float("inf"))
    usable &= (tl.abs(mean_y) < float("inf")) & (tl.abs(mean_z) < float("inf"))
    usable &= tl.min((tl.abs(logit) < float("inf")).to(tl.int32), 0) != 0
    place_x = tl.floor((mean_x - lower_x) / voxel_size)
    place_y = tl.floor((mean_y - lower_y) / voxel_size)
    place_z = tl.floor((mean_z - lower_z) / voxel_size)
    usable &= (place_x >= -NEIGHBORHOOD) & (place_x < size_x + NEIGHBORHOOD)
    usable &= (place_y >= -NEIGHBORHOOD) & (place_y < size_y + NEIGHBORHOOD)
    usable &= (place_z >= -NEIGHBORHOOD) & (place_z < size_z + NEIGHBORHOOD)
    EDGE: tl.constexpr = 2 * NEIGHBORHOOD + 1  # noqa: N806
    home_x = tl.where(usable, place_x, 0.0).to(tl.int32)
    home_y = tl.where(usable, place_y, 0.0).to(tl.int32)
    home_z = tl.where(usable, place_z, 0.0).to(tl.int32)
    g_opacity = 0.0
    g_logit = tl.zeros((CLASSES_PADDED,), tl.float32)
    g_x, g_y, g_z = 0.0, 0.0, 0.0
    g_a, g_b, g_c, g_d, g_e, g_f, g_g, g_h, g_i = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    if usable:
        for start in range(0, EDGE * EDGE * EDGE, BLOCK):
            lane = start + tl.arange(0, BLOCK)
            voxel_x = home_x - NEIGHBORHOOD + lane // (EDGE * EDGE)
            voxel_y = home_y - NEIGHBORHOOD + lane // EDGE % EDGE
            voxel_z = home_z - NEIGHBORHOOD + lane % EDGE
            inside = (lane < EDGE * EDGE * EDGE) & (voxel_x >= 0) & (voxel_x < size_x)
            inside &= (voxel_y >= 0) & (voxel_y < size_y) & (voxel_z >= 0) & (voxel_z < size_z)
            voxel = ((batch * size_x + voxel_x) * size_y + voxel_y) * size_z + voxel_z
            total = tl.load(density + voxel, inside, 0.0)
            to_density = tl.load(d_density + voxel, inside, 0.0)
            to_density = tl.where((total >= 0) & (total <= 1), to_density, 0.0)
            to_logits = tl.load(
                d_logits + voxel[:, None] * CLASSES + channel[None, :],
                inside[:, None] & known[None, :],
                0.0,
            )
            x = lower_x + (voxel_x.to(tl.float32) + 0.5) * voxel_size - mean_x
            y = lower_y + (voxel_y.to(tl.float32) + 0.5) * voxel_size - mean_y
            z = lower_z + (voxel_z.to(tl.float32) + 0.5) * voxel_size - mean_z
            first = x * a + y * d + z * g
            second = x * b + y * e + z * h
            third = x * c + y * f + z * i
            weight = tl.exp(-0.5 * (first * first + second * second + third * third))
            weight = tl.where(inside, weight, 0.0)
            g_opacity += tl.sum(weight * to_density, 0)
            g_logit += tl.sum(weight[:, None] * to_logits, 0)
            slope = to_density * opacity + tl.sum(to_logits * logit[None, :], 1)
            slope = -slope * weight
            first, second, third = first * slope, second * slope, third * slope
            g_x -= tl.sum(first * a + second * b + third * c, 0)
            g_y -= tl.sum(first * d + second * e + third * f, 0)
            g_z -= tl.sum(first * g + second * h + third * i, 0)
            g_a += tl.sum(x * first, 0)
            g_b += tl.sum(x * second, 0)
            g_c += tl.sum(x * third, 0)
            g_d += tl.sum(y * first, 0)
            g_e += tl.sum(y * second, 0)
            g_f += tl.sum(y * third, 0)
            g_g += tl.sum(z * first, 0)
            g_h += tl.sum(z * second, 0)
            g_i += tl.sum(z * third, 0)
    tl.store(d_means + index * 3, g_x)
    tl.store(d_means + index * 3 + 1, g_y)
    tl.store(d_means + index * 3 + 2, g_z)
    tl.store(d_opacities + index, g_opacity)
    tl.store(d_values + index * CLASSES + channel, g_logit, known)
    one_x = 1 / tl.where(usable, tl.load(scales + index * 3), 1.0)
    one_y = 1 / tl.where(usable, tl.load(scales + index * 3 + 1), 1.0)
    one_z = 1 / tl.where(usable, tl.load(scales + index * 3 + 2), 1.0)
    # The whitening is R diag(1 / s): ds_j = -sum_i dW_ij W_ij / s_j, dR_ij = dW_ij / s_j.
    a, b, c = tl.where(usable, a, 0.0), tl.where(usable, b, 0.0), tl.where(usable, c, 0.0)
    d, e, f = tl.where(usable, d, 0.0), tl.where(usable, e, 0.0), tl.where(usable, f, 0.0)
    g, h, i = tl.where(usable, g, 0.0), tl.where(usable, h, 0.0), tl.where(usable, i, 0.0)
    tl.store(d_scales + index * 3, -(g_a * a + g_d * d + g_g * g) * one_x)
    tl.store(d_scales + index * 3 + 1, -(g_b * b + g_e * e + g_h * h) * one_y)
    tl.store(d_scales + index * 3 + 2, -(g_c * c + g_f * f + g_i * i) * one_z)
    g_a, g_d, g_g = g_a * one_x, g_d * one_x, g_g * one_x
    g_b, g_e, g_h = g_b * one_y, g_e * one_y, g_h * one_y
    g_c, g_f, g_i = g_c * one_z, g_f * one_z, g_i * one_z
    w = tl.where(usable, tl.load(quats + index * 4), 1.0)
    x = tl.where(usable, tl.load(quats + index * 4 + 1), 0.0)
    y = tl.where(usable, tl.load(quats + index * 4 + 2), 0.0)
    z = tl.where(usable, tl.load(quats + index * 4 + 3), 0.0)
    scale = 1 / tl.maximum(tl.sqrt(w * w + x * x + y * y + z * z), 1e-12)
    w, x, y, z = w * scale, x * scale, y * scale, z * scale
    g_w = 2 * (x * (g_h - g_f) + y * (g_c - g_g) + z * (g_d - g_b))
    q_x = 2 * (-2 * x * (g_e + g_i) + y * (g_b + g_d) + z * (g_c + g_g) + w * (g_h - g_f))
    q_y = 2 * (x * (g_b + g_d) - 2 * y * (g_a + g_i) + z * (g_f + g_h) + w * (g_c - g_g))
    q_z = 2 * (x * (g_c + g_g) + y * (g_f + g_h) - 2 * z * (g_a + g_e) + w * (g_d - g_b))
    # Normalising keeps only what is perpendicular to the quaternion.
    along = g_w * w + q_x * x + q_y * y + q_z * z
    tl.store(d_quats + index * 4, (g_w - along * w) * scale)
    tl.store(d_quats + index * 4 + 1, (q_x - along * x) * scale)
    tl.store(d_quats + index * 4 + 2, (q_y - along * y) * scale)
    tl.store(d_quats + index * 4 + 3, (q_z - along * z) * scale)
