"""Gaussians look into the images: multi-scale deformable attention at their projections.

Source: Deformable DETR (Zhu et al., ICLR 2021) with projected 3D points as references,
as laid out in ALGORITHM 3.6. Work is done for visible (Gaussian, camera) pairs only.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from gfocc_core.geometry import CameraView


class ImageCrossAttention(nn.Module):
    """One instance per decoder block; its value projection serves all cameras and levels."""

    def __init__(
        self, channels: int, heads: int, levels: int, points: int, cameras: int, dropout: float
    ) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.camera_embedding = nn.Parameter(torch.randn(cameras, channels))
        self.level_embedding = nn.Parameter(torch.randn(levels, channels))
        self.sampling_offsets = nn.Linear(channels, heads * levels * points * 2)
        self.attention_weights = nn.Linear(channels, heads * levels * points)
        self.value = nn.Linear(channels, channels)
        self.output = nn.Linear(channels, channels)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(channels)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        nn.init.zeros_(self.sampling_offsets.weight)
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        angle = torch.arange(self.heads) * (2 * math.pi / self.heads)
        direction = torch.stack([angle.cos(), angle.sin()], -1)
        direction = direction / direction.abs().amax(-1, keepdim=True)
        radius = torch.arange(1, self.points + 1)
        offsets = direction[:, None, None] * radius[:, None]
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(offsets.expand(-1, self.levels, -1, -1).reshape(-1))
        for layer in (self.value, self.output):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self, features: Tensor, means: Tensor, levels: list[Tensor], view: CameraView
    ) -> Tensor:
        """Update Gaussian features from the images.

        Args:
            features: [B, N, C] of the Gaussians.
            means: [B, N, 3] metres, ego frame.
            levels: per level [B, cameras, C, h, w].
            view: how the means project into the input, fields with a leading [B].
        """
        reference, visible = view.project(means)
        values = [self._value_maps(level, index) for index, level in enumerate(levels)]
        sizes = [level.shape[-2:] for level in levels]
        offsets = self._offsets(features, sizes)
        weights = self.attention_weights(features).unflatten(-1, (self.heads, -1)).softmax(-1)
        weights = weights.unflatten(-1, (self.levels, self.points))

        seen = torch.zeros_like(features)
        for batch in range(visible.shape[0]):
            for camera in range(visible.shape[1]):
                pairs = visible[batch, camera].nonzero().squeeze(-1)
                sampled = _sample(
                    [value[batch, camera] for value in values],
                    reference[batch, camera, pairs],
                    offsets[batch, pairs],
                    weights[batch, pairs],
                )
                seen[batch] = seen[batch].index_add(0, pairs, sampled.to(seen.dtype))
        cameras_seeing = visible.sum(1).clamp(min=1).unsqueeze(-1)
        updated = self.output(seen / cameras_seeing)
        return self.norm(self.dropout(updated) + features)

    def _value_maps(self, level: Tensor, index: int) -> Tensor:
        """A level [B, cameras, C, h, w] -> values per head [B, cameras, heads, C / heads, h, w]."""
        cameras = level.shape[1]
        tokens = level.permute(0, 1, 3, 4, 2) + self.level_embedding[index]
        tokens = tokens + self.camera_embedding[:cameras, None, None]
        return self.value(tokens).unflatten(-1, (self.heads, -1)).permute(0, 1, 4, 5, 2, 3)

    def _offsets(self, features: Tensor, sizes: list[torch.Size]) -> Tensor:
        """Sampling offsets [B, N, heads, levels, points, 2] as fractions of the input."""
        offsets = self.sampling_offsets(features)
        offsets = offsets.unflatten(-1, (self.heads, self.levels, self.points, 2))
        width_height = [[width, height] for height, width in sizes]
        return offsets / offsets.new_tensor(width_height).view(self.levels, 1, 2)


def _sample(values: list[Tensor], reference: Tensor, offsets: Tensor, weights: Tensor) -> Tensor:
    """Weighted bilinear samples of one camera for its P visible Gaussians.

    Args:
        values: per level [heads, D, h, w].
        reference: [P, 2] projected positions, fractions of the input.
        offsets: [P, heads, levels, points, 2] fractions of the input.
        weights: [P, heads, levels, points].

    Returns:
        [P, heads * D]
    """
    positions = (reference[:, None, None, None] + offsets) * 2 - 1
    total = reference.new_zeros(())
    for index, value in enumerate(values):
        grid = positions[:, :, index].transpose(0, 1)
        sampled = F.grid_sample(value.float(), grid, align_corners=False)
        weight = weights[:, :, index].transpose(0, 1).unsqueeze(1)
        total = total + (sampled * weight).sum(-1)
    return total.permute(2, 0, 1).flatten(1)
