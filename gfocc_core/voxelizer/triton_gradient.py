# mypy: disable-error-code="no-untyped-def, assignment, misc"
"""Triton kernel of the voxelizer's gradient: one program per sorted Gaussian, no atomics.

Neighbours in that order read the same voxels, soon after each other. Called by triton_backend
only.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gfocc_core.voxelizer.triton_geometry import RECORD, SHARPEST, TO_EXP2, from_home


@triton.jit
def scatter_back_kernel(
    means,
    scales,
    quats,
    records,
    values,
    order,
    bases,
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
    strips,
    NEIGHBORHOOD: tl.constexpr,  # noqa: N803
    CLASSES: tl.constexpr,  # noqa: N803
    CLASSES_PADDED: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
):
    """Gradients of one Gaussian's properties, from the voxels of its cube."""
    place = tl.program_id(0)
    batch = tl.program_id(1).to(tl.int64)
    if place >= tl.load(bases + batch * (strips + 1) + strips):
        return
    channel = tl.arange(0, CLASSES_PADDED)
    known = channel < CLASSES
    logit = tl.load(values + (batch * gaussians + place) * CLASSES_PADDED + channel)
    record = ()
    for field in tl.static_range(RECORD):
        record += (tl.load(records + (batch * RECORD + field) * gaussians + place),)
    home_x, home_y, home_z, opacity, a, b, c, d, e, f, g, h, i, u, v, w = record
    index = batch * gaussians + tl.load(order + batch * gaussians + place)
    offset_x = from_home(means, index, True, home_x, lower_x, voxel_size, 0)
    offset_y = from_home(means, index, True, home_y, lower_y, voxel_size, 1)
    offset_z = from_home(means, index, True, home_z, lower_z, voxel_size, 2)
    # 64-bit up to the home voxel, from where steps fit 32 bits.
    voxel_0, voxel_1, voxel_2 = home_x.to(tl.int32), home_y.to(tl.int32), home_z.to(tl.int32)
    home = ((batch * size_x + voxel_0) * size_y + voxel_1) * size_z + voxel_2
    density += home
    d_density += home
    d_logits += home * CLASSES
    EDGE: tl.constexpr = 2 * NEIGHBORHOOD + 1  # noqa: N806
    g_opacity = tl.zeros((BLOCK,), tl.float32)
    g_logit = tl.zeros((BLOCK, CLASSES_PADDED), tl.float32)
    # Moments of the slopes along the exponent, in voxels from the mean.
    m_x, m_y, m_z = g_opacity, g_opacity, g_opacity
    m_xx, m_xy, m_xz = g_opacity, g_opacity, g_opacity
    m_yy, m_yz, m_zz = g_opacity, g_opacity, g_opacity
    for start in range(0, EDGE * EDGE * EDGE, BLOCK):
        lane = start + tl.arange(0, BLOCK)
        step_x = lane // (EDGE * EDGE) - NEIGHBORHOOD
        step_y = lane // EDGE % EDGE - NEIGHBORHOOD
        step_z = lane % EDGE - NEIGHBORHOOD
        voxel_x, voxel_y, voxel_z = voxel_0 + step_x, voxel_1 + step_y, voxel_2 + step_z
        inside = (lane < EDGE * EDGE * EDGE) & (voxel_x >= 0) & (voxel_x < size_x)
        inside &= (voxel_y >= 0) & (voxel_y < size_y) & (voxel_z >= 0) & (voxel_z < size_z)
        voxel = (step_x * size_y + step_y) * size_z + step_z
        total = tl.load(density + voxel, inside, 0.0)
        to_density = tl.load(d_density + voxel, inside, 0.0)
        to_density = tl.where((total >= 0) & (total <= 1), to_density, 0.0)
        to_logits = tl.load(
            d_logits + voxel[:, None] * CLASSES + channel[None, :],
            inside[:, None] & known[None, :],
            0.0,
        )
        x, y, z = step_x.to(tl.float32), step_y.to(tl.float32), step_z.to(tl.float32)
        first = x * a + (y * d + (z * g - u))
        second = x * b + (y * e + (z * h - v))
        third = x * c + (y * f + (z * i - w))
        weight = tl.exp2(-(first * first + second * second + third * third))
        weight = tl.where(inside, weight, 0.0)
        g_opacity += weight * to_density
        g_logit += weight[:, None] * to_logits
        slope = to_density * opacity + tl.sum(to_logits * logit[None, :], 1)
        slope = -slope * weight
        x, y, z = x - offset_x, y - offset_y, z - offset_z
        along_x, along_y, along_z = x * slope, y * slope, z * slope
        m_x, m_y, m_z = m_x + along_x, m_y + along_y, m_z + along_z
        m_xx, m_xy, m_xz = m_xx + along_x * x, m_xy + along_x * y, m_xz + along_x * z
        m_yy, m_yz, m_zz = m_yy + along_y * y, m_yz + along_y * z, m_zz + along_z * z
    tl.store(d_opacities + index, tl.sum(g_opacity, 0))
    tl.store(d_values + index * CLASSES + channel, tl.sum(g_logit, 0), known)

    # Back from the record's units to the whitening W = R diag(1 / s) of metres.
    one = 1 / (voxel_size * TO_EXP2)
    a, b, c, d, e, f, g, h, i = (
        a * one,
        b * one,
        c * one,
        d * one,
        e * one,
        f * one,
        g * one,
        h * one,
        i * one,
    )
    m_x, m_y, m_z = tl.sum(m_x, 0), tl.sum(m_y, 0), tl.sum(m_z, 0)
    area = voxel_size * voxel_size
    m_xx, m_xy, m_xz = tl.sum(m_xx, 0) * area, tl.sum(m_xy, 0) * area, tl.sum(m_xz, 0) * area
    m_yy, m_yz, m_zz = tl.sum(m_yy, 0) * area, tl.sum(m_yz, 0) * area, tl.sum(m_zz, 0) * area
    first = (m_x * a + m_y * d + m_z * g) * voxel_size
    second = (m_x * b + m_y * e + m_z * h) * voxel_size
    third = (m_x * c + m_y * f + m_z * i) * voxel_size
    tl.store(d_means + index * 3, -(first * a + second * b + third * c))
    tl.store(d_means + index * 3 + 1, -(first * d + second * e + third * f))
    tl.store(d_means + index * 3 + 2, -(first * g + second * h + third * i))
    g_a, g_b, g_c = _row(m_xx, m_xy, m_xz, a, b, c, d, e, f, g, h, i)
    g_d, g_e, g_f = _row(m_xy, m_yy, m_yz, a, b, c, d, e, f, g, h, i)
    g_g, g_h, g_i = _row(m_xz, m_yz, m_zz, a, b, c, d, e, f, g, h, i)
    # W is R diag(1 / s): ds_j = -sum_i dW_ij W_ij / s_j, dR_ij = dW_ij / s_j.
    one_x = tl.minimum(1 / tl.load(scales + index * 3), SHARPEST)
    one_y = tl.minimum(1 / tl.load(scales + index * 3 + 1), SHARPEST)
    one_z = tl.minimum(1 / tl.load(scales + index * 3 + 2), SHARPEST)
    tl.store(d_scales + index * 3, -(g_a * a + g_d * d + g_g * g) * one_x)
    tl.store(d_scales + index * 3 + 1, -(g_b * b + g_e * e + g_h * h) * one_y)
    tl.store(d_scales + index * 3 + 2, -(g_c * c + g_f * f + g_i * i) * one_z)
    g_a, g_d, g_g = g_a * one_x, g_d * one_x, g_g * one_x
    g_b, g_e, g_h = g_b * one_y, g_e * one_y, g_h * one_y
    g_c, g_f, g_i = g_c * one_z, g_f * one_z, g_i * one_z
    w = tl.load(quats + index * 4)
    x = tl.load(quats + index * 4 + 1)
    y = tl.load(quats + index * 4 + 2)
    z = tl.load(quats + index * 4 + 3)
    scale = 1 / tl.maximum(tl.sqrt(w * w + x * x + y * y + z * z), 1e-12)
    w, x, y, z = w * scale, x * scale, y * scale, z * scale
    q_w = 2 * (x * (g_h - g_f) + y * (g_c - g_g) + z * (g_d - g_b))
    q_x = 2 * (-2 * x * (g_e + g_i) + y * (g_b + g_d) + z * (g_c + g_g) + w * (g_h - g_f))
    q_y = 2 * (x * (g_b + g_d) - 2 * y * (g_a + g_i) + z * (g_f + g_h) + w * (g_c - g_g))
    q_z = 2 * (x * (g_c + g_g) + y * (g_f + g_h) - 2 * z * (g_a + g_e) + w * (g_d - g_b))
    # Normalising keeps only what is perpendicular to the quaternion.
    along = q_w * w + q_x * x + q_y * y + q_z * z
    tl.store(d_quats + index * 4, (q_w - along * w) * scale)
    tl.store(d_quats + index * 4 + 1, (q_x - along * x) * scale)
    tl.store(d_quats + index * 4 + 2, (q_y - along * y) * scale)
    tl.store(d_quats + index * 4 + 3, (q_z - along * z) * scale)


@triton.jit
def _row(x, y, z, a, b, c, d, e, f, g, h, i):
    """Row vector (x, y, z) times a matrix given row by row."""
    return (
        x * a + y * d + z * g,
        x * b + y * e + z * h,
        x * c + y * f + z * i,
    )
