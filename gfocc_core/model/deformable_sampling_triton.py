"""Triton kernels of deformable_sampling, forward and backward; float32 arithmetic.

One program per query: it skips the views that do not see it, and all heads and channels are its
lanes. The gradient of the values is summed with atomics, so its last bits vary from run to run.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from gfocc_core.model.deformable_sampling import SamplingProblem

_WARPS = 1
"""Per query: each thread then reads eight channels at once, and no sum needs a barrier."""


def sample_triton(problem: SamplingProblem) -> Tensor:
    """As deformable_sampling.sample_views; the interpreter (TRITON_INTERPRET=1) takes CPU tensors."""
    return _Sampling.apply(
        problem.values.contiguous(),
        problem.reference.float().contiguous(),
        problem.offsets.float().contiguous(),
        problem.weights.float().contiguous(),
        problem.visible.contiguous(),
        problem.level_sizes,
    )


class _Sampling(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        reference: Tensor,
        offsets: Tensor,
        weights: Tensor,
        visible: Tensor,
        level_sizes: tuple[tuple[int, int], ...],
    ) -> Tensor:
        batch, queries, heads = offsets.shape[:3]
        out = values.new_empty(batch, queries, heads * values.shape[-1], dtype=torch.float32)
        sizes = _size_table(level_sizes, values.device)
        if out.numel():
            _forward_kernel[(batch * queries,)](
                *(values, reference, offsets, weights, visible.view(torch.uint8), sizes, out),
                *_shape_arguments(values, offsets),
                num_warps=_WARPS,
            )
        ctx.save_for_backward(values, reference, offsets, weights, visible, sizes)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        values, reference, offsets, weights, visible, sizes = ctx.saved_tensors
        d_values = torch.zeros_like(values, dtype=torch.float32)
        d_reference = torch.zeros_like(reference)
        d_offsets, d_weights = torch.empty_like(offsets), torch.empty_like(weights)
        if weights.numel():
            shape = _shape_arguments(values, offsets)
            _backward_kernel[(offsets.shape[0] * offsets.shape[1],)](
                *(values, reference, offsets, weights, visible.view(torch.uint8), sizes),
                *(gradients[0].float().contiguous(), d_values),
                *(d_reference, d_offsets, d_weights),
                *shape,
                triton.next_power_of_2(values.shape[1]),
                num_warps=_WARPS,
            )
        return d_values.to(values.dtype), d_reference, d_offsets, d_weights, None, None


def _size_table(level_sizes: tuple[tuple[int, int], ...], device: torch.device) -> Tensor:
    """int32 [L, 3]: height, width and first position of each level."""
    key = (level_sizes, device)
    if key not in _SIZE_TABLES:
        rows, start = [], 0
        for height, width in level_sizes:
            rows.append((height, width, start))
            start += height * width
        with torch.inference_mode(False):  # a later training step may save it for backward
            _SIZE_TABLES[key] = torch.tensor(rows, dtype=torch.int32, device=device)
    return _SIZE_TABLES[key]


_SIZE_TABLES: dict[tuple[tuple[tuple[int, int], ...], torch.device], Tensor] = {}


def _shape_arguments(values: Tensor, offsets: Tensor) -> tuple[int, ...]:
    views, positions, heads, channels = values.shape[1:]
    levels, points = offsets.shape[3:5]
    padded = (triton.next_power_of_2(heads), triton.next_power_of_2(channels))
    return (offsets.shape[1], views, positions, heads, channels, levels, points, *padded)


@triton.jit
def _corner(x, y, width, height):
    """Row-major position of a pixel and whether the level has it."""
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return (y * width + x).to(tl.int32), inside


@triton.jit
def _forward_kernel(
    values,
    reference,
    offsets,
    weights,
    visible,
    sizes,
    out,
    queries,
    views,
    positions,
    HEADS: tl.constexpr,  # noqa: N803
    CHANNELS: tl.constexpr,  # noqa: N803
    LEVELS: tl.constexpr,  # noqa: N803
    POINTS: tl.constexpr,  # noqa: N803
    HEADS_PADDED: tl.constexpr,  # noqa: N803
    CHANNELS_PADDED: tl.constexpr,  # noqa: N803
):
    query = tl.program_id(0).to(tl.int64)
    batch, number = query // queries, query % queries
    head = tl.arange(0, HEADS_PADDED)
    channel = tl.arange(0, CHANNELS_PADDED)
    real_head = head < HEADS
    lanes = head[:, None] * CHANNELS + channel[None, :]
    real = real_head[:, None] & (channel < CHANNELS)[None, :]
    total = tl.zeros((HEADS_PADDED, CHANNELS_PADDED), tl.float32)
    seeing = 0
    for view in range(views):
        pair = (batch * views + view) * queries + number
        if tl.load(visible + pair) != 0:
            seeing += 1
            reference_x = tl.load(reference + pair * 2)
            reference_y = tl.load(reference + pair * 2 + 1)
            for level in tl.static_range(LEVELS):
                height = tl.load(sizes + level * 3)
                width = tl.load(sizes + level * 3 + 1)
                start = (batch * views + view) * positions + tl.load(sizes + level * 3 + 2)
                for point in tl.static_range(POINTS):
                    sample = ((query * HEADS + head) * LEVELS + level) * POINTS + point
                    x = tl.load(offsets + sample * 2, real_head, 0.0) + reference_x
                    y = tl.load(offsets + sample * 2 + 1, real_head, 0.0) + reference_y
                    weight = tl.load(weights + sample, real_head, 0.0)
                    x = tl.minimum(tl.maximum(x * width - 0.5, -2.0), width + 1.0)
                    y = tl.minimum(tl.maximum(y * height - 0.5, -2.0), height + 1.0)
                    left, top = tl.floor(x), tl.floor(y)
                    for corner in tl.static_range(4):
                        corner_x = left + corner % 2
                        corner_y = top + corner // 2
                        share = (1 - tl.abs(x - corner_x)) * (1 - tl.abs(y - corner_y))
                        place, inside = _corner(corner_x, corner_y, width, height)
                        found = tl.load(
                            values + (start + place)[:, None] * (HEADS * CHANNELS) + lanes,
                            real & inside[:, None],
                            0.0,
                        ).to(tl.float32)
                        total += (share * weight)[:, None] * found
    total = total / tl.maximum(seeing, 1)
    tl.store(out + query * (HEADS * CHANNELS) + lanes, total, real)


@triton.jit
def _backward_kernel(
    values,
    reference,
    offsets,
    weights,
    visible,
    sizes,
    gradient,
    d_values,
    d_reference,
    d_offsets,
    d_weights,
    queries,
    views,
    positions,
    HEADS: tl.constexpr,  # noqa: N803
    CHANNELS: tl.constexpr,  # noqa: N803
    LEVELS: tl.constexpr,  # noqa: N803
    POINTS: tl.constexpr,  # noqa: N803
    HEADS_PADDED: tl.constexpr,  # noqa: N803
    CHANNELS_PADDED: tl.constexpr,  # noqa: N803
    VIEWS_PADDED: tl.constexpr,  # noqa: N803
):
    query = tl.program_id(0).to(tl.int64)
    batch, number = query // queries, query % queries
    head = tl.arange(0, HEADS_PADDED)
    channel = tl.arange(0, CHANNELS_PADDED)
    real_head = head < HEADS
    lanes = head[:, None] * CHANNELS + channel[None, :]
    real = real_head[:, None] & (channel < CHANNELS)[None, :]
    each_view = tl.arange(0, VIEWS_PADDED)
    pairs = (batch * views + each_view) * queries + number
    seen = tl.load(visible + pairs, each_view < views, 0)
    seeing = tl.maximum(tl.sum((seen != 0).to(tl.float32), 0), 1.0)
    upstream = tl.load(gradient + query * (HEADS * CHANNELS) + lanes, real, 0.0) / seeing
    moved_x = tl.zeros((VIEWS_PADDED,), tl.float32)
    moved_y = tl.zeros((VIEWS_PADDED,), tl.float32)
    for level in tl.static_range(LEVELS):
        height = tl.load(sizes + level * 3)
        width = tl.load(sizes + level * 3 + 1)
        first = tl.load(sizes + level * 3 + 2)
        for point in range(POINTS):
            sample = ((query * HEADS + head) * LEVELS + level) * POINTS + point
            offset_x = tl.load(offsets + sample * 2, real_head, 0.0)
            offset_y = tl.load(offsets + sample * 2 + 1, real_head, 0.0)
            weight = tl.load(weights + sample, real_head, 0.0)
            d_weight = tl.zeros((HEADS_PADDED,), tl.float32)
            d_x = tl.zeros((HEADS_PADDED,), tl.float32)
            d_y = tl.zeros((HEADS_PADDED,), tl.float32)
            for view in range(views):
                pair = (batch * views + view) * queries + number
                if tl.load(visible + pair) != 0:
                    start = (batch * views + view) * positions + first
                    x = (offset_x + tl.load(reference + pair * 2)) * width - 0.5
                    y = (offset_y + tl.load(reference + pair * 2 + 1)) * height - 0.5
                    x = tl.minimum(tl.maximum(x, -2.0), width + 1.0)
                    y = tl.minimum(tl.maximum(y, -2.0), height + 1.0)
                    left, top = tl.floor(x), tl.floor(y)
                    view_x = tl.zeros((HEADS_PADDED,), tl.float32)
                    view_y = tl.zeros((HEADS_PADDED,), tl.float32)
                    for corner in tl.static_range(4):
                        corner_x = left + corner % 2
                        corner_y = top + corner // 2
                        near_x = 1 - tl.abs(x - corner_x)
                        near_y = 1 - tl.abs(y - corner_y)
                        place, inside = _corner(corner_x, corner_y, width, height)
                        where = (start + place)[:, None] * (HEADS * CHANNELS) + lanes
                        used = real & inside[:, None]
                        found = tl.load(values + where, used, 0.0).to(tl.float32)
                        along = tl.sum(found * upstream, 1)
                        d_weight += near_x * near_y * along
                        view_x += (2 * (corner % 2) - 1) * near_y * along
                        view_y += (2 * (corner // 2) - 1) * near_x * along
                        share = (near_x * near_y * weight)[:, None]
                        tl.atomic_add(d_values + where, share * upstream, used, sem="relaxed")
                    view_x = view_x * weight * width
                    view_y = view_y * weight * height
                    d_x += view_x
                    d_y += view_y
                    here = each_view == view
                    moved_x += tl.where(here, tl.sum(tl.where(real_head, view_x, 0.0), 0), 0.0)
                    moved_y += tl.where(here, tl.sum(tl.where(real_head, view_y, 0.0), 0), 0.0)
            tl.store(d_weights + sample, d_weight, real_head)
            tl.store(d_offsets + sample * 2, d_x, real_head)
            tl.store(d_offsets + sample * 2 + 1, d_y, real_head)
    tl.store(d_reference + pairs * 2, moved_x, each_view < views)
    tl.store(d_reference + pairs * 2 + 1, moved_y, each_view < views)
