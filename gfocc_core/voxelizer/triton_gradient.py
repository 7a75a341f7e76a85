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
    bins,
    starts,
    total,
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
    starts_of_item,
    NEIGHBORHOOD: tl.constexpr,  # noqa: N803
    CLASSES: tl.constexpr,  # noqa: N803
    CLASSES_PADDED: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
):
    """Gradients of the Gaussian sorted to this place, from the voxels of its cube in the grid.

    Those that contribute nothing get zeros: from the program of their number.
    """
    place = tl.program_id(0)
    batch = tl.program_id(1).to(tl.int64)
    channel = tl.arange(0, CLASSES_PADDED)
    known = channel < CLASSES
    if tl.load(bins + batch * gaussians + place) < 0:
        index = batch * gaussians + place
        for axis in tl.static_range(3):
            tl.store(d_means + index * 3 + axis, 0.0)
            tl.store(d_scales + index * 3 + axis, 0.0)
        for part in tl.static_range(4):
            tl.store(d_quats + index * 4 + part, 0.0)
        tl.store(d_opacities + index, 0.0)
        tl.store(d_values + index * CLASSES + channel, tl.zeros_like(channel).to(tl.float32), known)
    if place >= tl.load(starts + (batch + 1) * starts_of_item - 1):
        return
    logit = tl.load(values + (batch * gaussians + place) * CLASSES_PADDED + channel)
    record = ()
    for field in tl.static_range(RECORD):
        record += (tl.load(records + (batch * RECORD + field) * gaussians + place),)
    home_x, home_y, home_z, opacity, a, b, c, d, e, f, g, h, i, u, v, w = record
    index = batch * gaussians + tl.load(order + batch * gaussians + place)
    offset_x = from_home(means, index, True, home_x, lower_x, voxel_size, 0)
    offset_y = from_home(means, index, True, home_y, lower_y, voxel_size, 1)
    offset_z = from_home(means, index, True, home_z, lower_z, voxel_size, 2)
    voxel_x, voxel_y, voxel_z = home_x.to(tl.int32), home_y.to(tl.int32), home_z.to(tl.int32)
    low_x = tl.maximum(voxel_x - NEIGHBORHOOD, 0)
    low_y = tl.maximum(voxel_y - NEIGHBORHOOD, 0)
    low_z = tl.maximum(voxel_z - NEIGHBORHOOD, 0)
    edge_x = tl.minimum(voxel_x + NEIGHBORHOOD + 1, size_x) - low_x
    edge_y = tl.minimum(voxel_y + NEIGHBORHOOD + 1, size_y) - low_y
    edge_z = tl.minimum(voxel_z + NEIGHBORHOOD + 1, size_z) - low_z
    # 64-bit up to the first voxel, from where steps fit 32 bits.
    corner = ((batch * size_x + low_x) * size_y + low_y) * size_z + low_z
    total += corner
    d_density += corner
    d_logits += corner * CLASSES
    from_x = low_x - home_x
    g_opacity = tl.zeros((BLOCK,), tl.float32)
    g_logit = tl.zeros((BLOCK, CLASSES_PADDED), tl.float32)
    # Moments of the slopes along the exponent, in voxels from the mean.
    m_x, m_y, m_z = g_opacity, g_opacity, g_opacity
    m_xx, m_xy, m_xz = g_opacity, g_opacity, g_opacity
    m_yy, m_yz, m_zz = g_opacity, g_opacity, g_opacity
    for start in range(0, edge_y * edge_z, BLOCK):
        lane = start + tl.arange(0, BLOCK)
        step_y = lane // edge_z
        step_z = lane - step_y * edge_z
        inside = step_y < edge_y
        voxel = step_y * size_z + step_z
        y = step_y.to(tl.float32) + (low_y - home_y)
        z = step_z.to(tl.float32) + (low_z - home_z)
        first_yz = y * d + (z * g - u)
        second_yz = y * e + (z * h - v)
        third_yz = y * f + (z * i - w)
        m, along_x, along_xx = tl.zeros_like(y), tl.zeros_like(y), tl.zeros_like(y)
        for step_x in range(0, edge_x):
            sum_here = tl.load(total + voxel, inside, 2.0)
            to_density = tl.load(d_density + voxel, inside, 0.0)
            to_logits = tl.load(
                d_logits + voxel[:, None] * CLASSES + channel[None, :],
                inside[:, None] & known[None, :],
                0.0,
            )
            voxel += size_y * size_z
            to_density = tl.where((sum_here >= 0) & (sum_here <= 1), to_density, 0.0)
            x = step_x + from_x
            first = x * a + first_yz
            second = x * b + second_yz
            third = x * c + third_yz
            weight = tl.exp2(0.0 - first * first - second * second - third * third)
            g_opacity += weight * to_density
            g_logit += weight[:, None] * to_logits
            slope = to_density * opacity + tl.sum(to_logits * logit[None, :], 1)
            slope *= weight
            x -= offset_x
            m += slope
            along_x += x * slope
            along_xx += x * x * slope
        y, z = y - offset_y, z - offset_z
        m_x, m_y, m_z = m_x - along_x, m_y - m * y, m_z - m * z
        m_xx, m_xy, m_xz = m_xx - along_xx, m_xy - along_x * y, m_xz - along_x * z
        m_yy, m_yz, m_zz = m_yy - m * y * y, m_yz - m * y * z, m_zz - m * z * z
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
