"""The decoder: Gaussians attend to their past, to each other and to the images (ALGORITHM 3.3, 3.4)."""

from __future__ import annotations

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

    def forward(
        self,
        means: Tensor,
        features: Tensor,
        memory: Tensor,
        levels: list[Tensor],
        view: CameraView,
    ) -> tuple[Tensor, Tensor]:
        """Means [B, N, 3] and position-encoded features [B, N, C], both updated."""
        if self.temporal_attention is not None:
            features = self.temporal_attention(features, memory)
        features = self.self_attention(features, features)
        features = self.image_attention(features, means, levels, view)
        return means + self.rectify(features), features


class Decoder(nn.Module):
    """The blocks and the position encoding they share."""

    def __init__(self, config: ModelConfig, grid: VoxelGrid) -> None:
        super().__init__()
        self.position = PositionEncoding(config.channels, grid)
        self.blocks = nn.ModuleList(DecoderBlock(config) for _ in range(config.blocks))

    def forward(
        self,
        means: Tensor,
        features: Tensor,
        memory_means: Tensor,
        memory_features: Tensor,
        levels: list[Tensor],
        view: CameraView,
    ) -> tuple[Tensor, Tensor]:
        """Refine initial means [B, N, 3] and features [B, N, C] with memory of the same shapes."""
        memory = self.position(memory_means) + memory_features
        for block in self.blocks:
            means, features = block(means, self.position(means) + features, memory, levels, view)
        return means, features
