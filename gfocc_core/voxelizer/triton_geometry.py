# mypy: disable-error-code="no-untyped-def"
"""What a Gaussian is inside a Triton kernel: its shape, its home voxel and its record.

A record is what the sums need of a Gaussian, RECORD floats: home voxel (3), opacity, whitening
matrix row by row (9) and whitened offset (3), so that the weight in the voxel d steps from home is
exp2(-|d W - offset|^2). Records of a batch item lie field by field: [RECORD, N].
"""

from __future__ import annotations

import triton
import triton.language as tl

RECORD = tl.constexpr(16)
SHARPEST = tl.constexpr(1e15)
"""Largest 1 / scale (1 / m), so that squares stay finite."""
TO_EXP2 = tl.constexpr(0.8493218002880191)
"""sqrt(log2(e) / 2): exp(-|x|^2 / 2) is exp2(-|TO_EXP2 x|^2)."""


@triton.jit
def whitening(quats, scales, index, real):
    """Columns of R diag(1 / s) of each Gaussian, row by row, and whether they define one."""
    w = tl.load(quats + index * 4, real, 1.0)
    x = tl.load(quats + index * 4 + 1, real, 0.0)
    y = tl.load(quats + index * 4 + 2, real, 0.0)
    z = tl.load(quats + index * 4 + 3, real, 0.0)
    size_x = tl.load(scales + index * 3, real, 1.0)
    size_y = tl.load(scales + index * 3 + 1, real, 1.0)
    size_z = tl.load(scales + index * 3 + 2, real, 1.0)
    usable = (size_x > 0) & (size_y > 0) & (size_z > 0)
    usable &= (size_x < float("inf")) & (size_y < float("inf")) & (size_z < float("inf"))
    norm = tl.sqrt(w * w + x * x + y * y + z * z)
    usable &= (norm > 0) & (norm < float("inf"))
    scale = 1 / tl.where(usable, tl.maximum(norm, 1e-12), 1.0)
    w, x, y, z = w * scale, x * scale, y * scale, z * scale
    one_x = tl.minimum(1 / size_x, SHARPEST)
    one_y = tl.minimum(1 / size_y, SHARPEST)
    one_z = tl.minimum(1 / size_z, SHARPEST)
    return (
        (1 - 2 * (y * y + z * z)) * one_x,
        2 * (x * y - w * z) * one_y,
        2 * (x * z + w * y) * one_z,
        2 * (x * y + w * z) * one_x,
        (1 - 2 * (x * x + z * z)) * one_y,
        2 * (y * z - w * x) * one_z,
        2 * (x * z - w * y) * one_x,
        2 * (y * z + w * x) * one_y,
        (1 - 2 * (x * x + y * y)) * one_z,
        usable,
    )


@triton.jit
def home_voxel(means, index, real, lower_x, lower_y, lower_z, voxel_size):
    """Voxel of each mean, as floats; NaN or infinite where the mean is."""
    x = tl.load(means + index * 3, real, 0.0) - lower_x
    y = tl.load(means + index * 3 + 1, real, 0.0) - lower_y
    z = tl.load(means + index * 3 + 2, real, 0.0) - lower_z
    return (
        tl.floor(tl.div_rn(x, voxel_size)),
        tl.floor(tl.div_rn(y, voxel_size)),
        tl.floor(tl.div_rn(z, voxel_size)),
    )


@triton.jit
def from_home(means, index, real, home, lower, voxel_size, AXIS: tl.constexpr):  # noqa: N803
    """Mean minus the centre of its home voxel along one axis, in voxels."""
    mean = tl.load(means + index * 3 + AXIS, real, 0.0)
    return (mean - (lower + (home + 0.5) * voxel_size)) / voxel_size
