# mypy: disable-error-code="no-untyped-def"
"""The shape of a Gaussian inside a Triton kernel; shared by the sums and their gradient."""

from __future__ import annotations

import triton
import triton.language as tl


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
    one_x, one_y, one_z = 1 / size_x, 1 / size_y, 1 / size_z
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
