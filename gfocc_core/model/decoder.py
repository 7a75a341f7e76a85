"""The decoder: Gaussians attend to their past, to each other and to the images (ALGORITHM 3.3, 3.4)."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from gfocc_core.config import ModelConfig
from gfocc_core.geometry import CameraView
from gfocc_core.grid import VoxelGrid
from gfocc_core.model.image_cross_attention import ImageCrossAttention
from gfocc_core.model.induced_attention import InducedAttention


class PositionEncoding(nn.Module):
    """Means, scaled to [0, 1] by the grid's bounds, to C channels."""

    lower: Tensor
    extent: Tensor

    def __init__(self, channels: int, grid: VoxelGrid) -> None:
        super().__init__()
        lower, upper = torch.tensor(grid.lower), torch.tensor(grid.upper)
        self.register_buffer("lower", lower, persistent=False)
        self.register_buffer("extent", upper - lower, persistent=False)
        self.layers = nn.Sequential(
            nn.Linear(3, channels),
            nn.LeakyReLU(),
            nn.Linear(channels, channels),
            nn.LeakyReLU(),
            nn.Linear(channels, channels),
            nn.LayerNorm(channels),
        )

    def forward(self, means: Tensor) -> Tensor:
        """[..., 3] metres, ego frame -> [..., C]; float32 under autocast too (bf16 is 0.3 m coarse)."""
        with torch.autocast(means.device.type, enabled=False):
            return self.layers((means - self.lower) / self.extent)


class DecoderBlock(nn.Module):
    """Temporal attention (if any), self and image cross attention, then the means move."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        attention = (config.channels, config.heads, config.inducing_points, config.dropout)
        self.temporal_attention = (
            InducedAttention(*attention) if config.temporal_attention else None
        )
        self.self_attention = InducedAttention(*attention)
        self.image_attention = ImageCrossAttention(
            config.channels,
            config.heads,
            config.levels,
            config.points,
            config.cameras,
            config.dropout,
        )
        self.rectify = nn.Sequential(
            nn.Linear(config.channels, config.channels),
            nn.LeakyReLU(),
            nn.Linear(config.channels, 3),
        )

    def summarize(self, memory: Tensor) -> Tensor | None:
        """What temporal attention takes from the encoded memory [B, N, C], if there is any."""
        if self.temporal_attention is None:
            return None
        return self.temporal_attention.summarize(memory)

    def associate(self, features: Tensor, summary: Tensor | None) -> Tensor:
        """Position-encoded features [B, N, C] after temporal and self attention."""
        if self.temporal_attention is not None and summary is not None:
            features = self.temporal_attention.attend(features, summary)
        return self.self_attention(features, features)

    def look(
        self, means: Tensor, features: Tensor, levels: list[Tensor], view: CameraView
    ) -> tuple[Tensor, Tensor]:
        """Means [B, N, 3] and associated features [B, N, C], both updated from the images."""
        features = self.image_attention(features, means, levels, view)
        return means + self.rectify(features), features


class Recollection(NamedTuple):
    """All that the decoder computes before it needs images."""

    features: Tensor
    """[B, N, C] of the Gaussians after the first block's temporal and self attention."""
    summaries: tuple[Tensor | None, ...]
    """What each later block takes from memory."""


class Decoder(nn.Module):
    """The blocks and the position encoding they share."""

    def __init__(self, config: ModelConfig, grid: VoxelGrid) -> None:
        super().__init__()
        self.position = PositionEncoding(config.channels, grid)
        self.blocks = nn.ModuleList(DecoderBlock(config) for _ in range(config.blocks))

    def recall(
        self, means: Tensor, features: Tensor, memory_means: Tensor, memory_features: Tensor
    ) -> Recollection:
        """Begin with initial means [B, N, 3] and features [B, N, C], and memory of their shapes."""
        memory = self.position(memory_means) + memory_features
        first, *later = self._blocks()
        features = first.associate(self.position(means) + features, first.summarize(memory))
        return Recollection(features, tuple(block.summarize(memory) for block in later))

    def look(
        self, means: Tensor, recalled: Recollection, levels: list[Tensor], view: CameraView
    ) -> tuple[Tensor, Tensor]:
        """Refined means [B, N, 3] and features [B, N, C], from the means that `recall` began with."""
        first, *later = self._blocks()
        means, features = first.look(means, recalled.features, levels, view)
        for block, summary in zip(later, recalled.summaries, strict=True):
            features = block.associate(self.position(means) + features, summary)
            means, features = block.look(means, features, levels, view)
        return means, features

    def _blocks(self) -> list[DecoderBlock]:
        return cast("list[DecoderBlock]", list(self.blocks))
