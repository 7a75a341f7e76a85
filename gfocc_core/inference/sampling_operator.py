"""Deformable sampling as one opaque operator, so that torch.compile sees a decoder without breaks.

For inference only: it has no gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gfocc_core.model.deformable_sampling import SamplingProblem, sample_views


def sample_as_operator(problem: SamplingProblem) -> Tensor:
    """As deformable_sampling.sample_views; the casts here melt into the kernels before."""
    return _sample(
        problem.values,
        [edge for size in problem.level_sizes for edge in size],
        problem.reference.float(),
        problem.visible,
        problem.offsets.float(),
        problem.weights.float(),
    )


@torch.library.custom_op("gfocc::sample_views", mutates_args=())
def _sample(
    values: Tensor,
    level_edges: list[int],
    reference: Tensor,
    visible: Tensor,
    offsets: Tensor,
    weights: Tensor,
) -> Tensor:
    heights, widths = level_edges[::2], level_edges[1::2]
    sizes = tuple(zip(heights, widths, strict=True))
    return sample_views(SamplingProblem(values, sizes, reference, visible, offsets, weights))


@_sample.register_fake
def _(
    values: Tensor,
    level_edges: list[int],
    reference: Tensor,
    visible: Tensor,
    offsets: Tensor,
    weights: Tensor,
) -> Tensor:
    batch, queries = offsets.shape[:2]
    channels = values.shape[-2] * values.shape[-1]
    return values.new_empty(batch, queries, channels, dtype=torch.float32)
