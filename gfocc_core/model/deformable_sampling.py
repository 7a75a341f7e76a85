"""Bilinear samples of many views for many queries, averaged over the views that see each query.

The core of the image cross attention: called by image_cross_attention, computed by the reference
here or by the Triton kernels of deformable_sampling_triton. Source: multi-scale deformable
attention (Zhu et al., Deformable DETR, ICLR 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from gfocc_core.triton_support import triton_unusable

SamplingBackend = Literal["auto", "reference", "triton"]


@dataclass(frozen=True)
class SamplingProblem:
    """B batches, V views, N queries, L levels, H heads of D channels, P points."""

    values: Tensor
    """[B, V, T, H, D]; T is all positions of all levels, level after level, row-major."""
    level_sizes: tuple[tuple[int, int], ...]
    """(height, width) of each level."""
    reference: Tensor
    """[B, V, N, 2] projections (x, y) as fractions of the input's width and height."""
    visible: Tensor
    """bool [B, V, N]."""
    offsets: Tensor
    """[B, N, H, L, P, 2] added to the reference, fractions too."""
    weights: Tensor
    """[B, N, H, L, P]."""


def sample_views(problem: SamplingProblem, backend: SamplingBackend = "auto") -> Tensor:
    """Weighted samples [B, N, H * D] in float32, mean over the views that see a query, else 0.

    Bilinear, zero outside the level, pixel centres at half integers (`align_corners=False`).
    "auto" takes the Triton kernels for CUDA tensors where Triton works, else the reference.

    Raises:
        ValueError: unknown backend.
        RuntimeError: backend "triton" that cannot run; says why.
    """
    if backend not in ("auto", "reference", "triton"):
        raise ValueError(f"backend must be 'auto', 'reference' or 'triton', got '{backend}'")
    obstacle = None if backend == "reference" else triton_unusable(problem.values.device)
    if backend == "triton" and obstacle:
        raise RuntimeError(f"backend 'triton' cannot run: {obstacle}")
    if backend == "reference" or obstacle:
        return sample_reference(problem)
    from gfocc_core.model.deformable_sampling_triton import sample_triton

    return sample_triton(problem)


def sample_reference(problem: SamplingProblem) -> Tensor:
    """The same in plain torch; works for visible (query, view) pairs only.

    Computes in float32, for float64 values in float64.
    """
    dtype = torch.promote_types(problem.values.dtype, torch.float32)
    areas = [height * width for height, width in problem.level_sizes]
    batch, queries = problem.offsets.shape[:2]
    channels = problem.values.shape[-1] * problem.values.shape[-2]
    total = problem.values.new_zeros(batch, queries, channels, dtype=dtype)
    rows = []
    for index in range(batch):
        row = total[index]
        for view, values in enumerate(problem.values[index].unbind()):
            pairs = problem.visible[index, view].nonzero().squeeze(-1)
            maps = [
                level.to(dtype).permute(1, 2, 0).unflatten(-1, size)
                for size, level in zip(problem.level_sizes, values.split(areas), strict=True)
            ]
            sampled = _sample(
                maps,
                problem.reference[index, view, pairs],
                problem.offsets[index, pairs],
                problem.weights[index, pairs],
            )
            row = row.index_add(0, pairs, sampled.to(dtype))
        rows.append(row)
    seeing = problem.visible.sum(1).clamp(min=1).unsqueeze(-1)
    return torch.stack(rows) / seeing


def _sample(maps: list[Tensor], reference: Tensor, offsets: Tensor, weights: Tensor) -> Tensor:
    """Weighted bilinear samples [Q, H * D] of one view for its Q visible queries.

    Args:
        maps: per level [H, D, h, w].
        reference: [Q, 2] fractions of the input.
        offsets: [Q, H, L, P, 2] fractions of the input.
        weights: [Q, H, L, P].
    """
    positions = (reference[:, None, None, None] + offsets) * 2 - 1
    total = reference.new_zeros(())
    for index, value in enumerate(maps):
        grid = positions[:, :, index].transpose(0, 1)
        sampled = F.grid_sample(value, grid.to(value.dtype), align_corners=False)
        weight = weights[:, :, index].transpose(0, 1).unsqueeze(1)
        total = total + (sampled * weight).sum(-1)
    return total.permute(2, 0, 1).flatten(1)
