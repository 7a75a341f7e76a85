# mypy: disable-error-code="no-untyped-def"
"""Triton kernel of resize: uint8 pixels in, normalised input out, all cameras in one launch."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gfocc_core.inference.resize import PackedImages, ResizePlan

BLOCK = 512
"""Numbers (channels of pixels of one output row) that one program computes."""
NUM_WARPS = 4


def resize_triton(images: PackedImages, valid: Tensor, plan: ResizePlan, out: Tensor) -> None:
    """As resize.resize_reference; the interpreter (TRITON_INTERPRET=1) takes CPU tensors."""
    height, width = plan.image.height, plan.image.width
    _resize_kernel[(height, triton.cdiv(3 * width, BLOCK), len(images.sizes))](
        *(images.pixels, images.starts, images.widths, valid),
        *(plan.rows.first, plan.rows.weights, plan.columns.first, plan.columns.weights),
        out,
        *(height, width, *plan.image.mean, *plan.image.std),
        *(plan.rows.taps, plan.columns.taps, BLOCK),
        num_warps=NUM_WARPS,
    )


@triton.jit
def _resize_kernel(
    pixels,
    starts,
    widths,
    valid,
    rows,
    row_weights,
    columns,
    column_weights,
    out,
    height,
    width,
    mean_red,
    mean_green,
    mean_blue,
    std_red,
    std_green,
    std_blue,
    ROW_TAPS: tl.constexpr,  # noqa: N803
    COLUMN_TAPS: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
):
    """One stretch of one output row; a lane is one channel of one pixel."""
    row = tl.program_id(0)
    camera = tl.program_id(2)
    lane = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    real = lane < 3 * width
    column = lane // 3
    channel = lane % 3
    result = tl.zeros((BLOCK,), tl.float32)
    if tl.load(valid + camera) != 0:
        stride = 3 * tl.load(widths + camera)
        first_row = tl.load(rows + camera * height + row)
        first_column = tl.load(columns + camera * width + column, real, 0)
        source = pixels + tl.load(starts + camera) + first_row.to(tl.int64) * stride
        place = 3 * first_column + channel
        total = tl.zeros((BLOCK,), tl.float32)
        for column_tap in tl.static_range(COLUMN_TAPS):
            down = tl.zeros((BLOCK,), tl.float32)
            for row_tap in tl.static_range(ROW_TAPS):
                weight = tl.load(row_weights + (camera * ROW_TAPS + row_tap) * height + row)
                found = tl.load(source + row_tap * stride + place + 3 * column_tap, real, 0)
                down += weight * found.to(tl.float32)
            across = (camera * COLUMN_TAPS + column_tap) * width + column
            total += down * tl.load(column_weights + across, real, 0.0)
        mean = tl.where(channel == 0, mean_red, tl.where(channel == 1, mean_green, mean_blue))
        std = tl.where(channel == 0, std_red, tl.where(channel == 1, std_green, std_blue))
        result = (total - mean) / std
    place = ((camera * height + row).to(tl.int64) * width) * 3 + lane
    tl.store(out + place, result.to(out.dtype.element_ty), real)
