"""Gaussians look into the images: multi-scale deformable attention at their projections.

Source: Deformable DETR (Zhu et al., ICLR 2021) with projected 3D points as references,
as laid out in ALGORITHM 3.6. Work is done for visible (Gaussian, camera) pairs only.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from gfocc_core.geometry import CameraView
from gfocc_core.model.deformable_sampling import SamplingProblem, sample_views


class ImageCrossAttention(nn.Module):
    """One instance per decoder block; its value projection serves all cameras and levels."""

    def __init__(
        self, channels: int, heads: int, levels: int, points: int, cameras: int, dropout: float
    ) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.sample: Callable[[SamplingProblem], Tensor] = sample_views
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
        sizes = tuple((level.shape[-2], level.shape[-1]) for level in levels)
        weights = self.attention_weights(features).unflatten(-1, (self.heads, -1)).softmax(-1)
        seen = self.sample(
            SamplingProblem(
                values=self._values(levels),
                level_sizes=sizes,
                reference=reference,
                visible=visible,
                offsets=self._offsets(features, sizes),
                weights=weights.unflatten(-1, (self.levels, self.points)),
            )
        )
        updated = self.output(seen.to(features.dtype))
        return self.norm(self.dropout(updated) + features)

    def _values(self, levels: list[Tensor]) -> Tensor:
        """Levels [B, cameras, C, h, w] -> values [B, cameras, all positions, heads, C / heads]."""
        cameras = levels[0].shape[1]
        tokens = [
            level.flatten(-2).transpose(-1, -2) + self.level_embedding[index]
            for index, level in enumerate(levels)
        ]
        embedded = torch.cat(tokens, 2) + self.camera_embedding[:cameras, None]
        return self.value(embedded).unflatten(-1, (self.heads, -1))

    def _offsets(self, features: Tensor, sizes: tuple[tuple[int, int], ...]) -> Tensor:
        """Sampling offsets [B, N, heads, levels, points, 2] as fractions of the input."""
        offsets = self.sampling_offsets(features)
        offsets = offsets.unflatten(-1, (self.heads, self.levels, self.points, 2))
        # Filled on the device: a copy from the host would stall it.
        edges = [edge for height, width in sizes for edge in (width, height)]
        width_height = torch.stack([offsets.new_full((), edge) for edge in edges])
        return offsets / width_height.view(self.levels, 1, 2)
