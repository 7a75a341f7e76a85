"""The whole network: images, geometry and memory to Gaussians."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from gfocc_core.config import ModelConfig
from gfocc_core.gaussians import Gaussians
from gfocc_core.geometry import CameraView
from gfocc_core.grid import VoxelGrid
from gfocc_core.model.decoder import Decoder, Recollection
from gfocc_core.model.heads import FlowHead, PropertyHeads
from gfocc_core.model.image_encoder import ImageEncoder


class Memory(NamedTuple):
    """The previous frame's Gaussians, with means already moved into the current ego frame."""

    means: Tensor
    """[B, N, 3] metres."""
    features: Tensor
    """[B, N, C]"""


class GaussianFlowNetwork(nn.Module):
    """ALGORITHM 3: `encode` once per frame, then `decode` with or without memory."""

    def __init__(self, config: ModelConfig, grid: VoxelGrid, pretrained: bool = False) -> None:
        """Args: pretrained: load the backbone's ImageNet weights through timm."""
        super().__init__()
        self.config = config
        self.encoder = ImageEncoder(config.backbone, config.channels, config.levels, pretrained)
        lower, upper = torch.tensor(grid.lower), torch.tensor(grid.upper)
        means = lower + torch.rand(config.gaussians, 3) * (upper - lower)
        self.initial_means = nn.Parameter(means)
        self.initial_features = nn.Parameter(torch.randn(config.gaussians, config.channels))
        self.decoder = Decoder(config, grid)
        self.heads = PropertyHeads(config)
        self.flow = FlowHead(config)

    def encode(self, images: Tensor) -> list[Tensor]:
        """Normalised images [B, cameras, 3, H, W] -> per level [B, cameras, C, H / s, W / s]."""
        return self.encoder(images)

    def decode(
        self, levels: list[Tensor], view: CameraView, memory: Memory | None = None
    ) -> Gaussians:
        """Feature levels and their geometry -> Gaussians with a leading [B].

        Without memory the learned initial Gaussians stand in for it.
        """
        return self.look(levels, view, self.recall(levels[0].shape[0], memory))

    def recall(self, batch: int, memory: Memory | None = None) -> Recollection:
        """The part of `decode` that needs no images; `look` does the rest."""
        means = self.initial_means.expand(batch, -1, -1)
        features = self.initial_features.expand(batch, -1, -1)
        return self.decoder.recall(means, features, *(memory or Memory(means, features)))

    def look(self, levels: list[Tensor], view: CameraView, recalled: Recollection) -> Gaussians:
        """Feature levels and what `recall` returned -> Gaussians with a leading [B]."""
        means = self.initial_means.expand(levels[0].shape[0], -1, -1)
        return self.heads(*self.decoder.look(means, recalled, levels, view))

    def forward(self, images: Tensor, view: CameraView, memory: Memory | None = None) -> Gaussians:
        return self.decode(self.encode(images), view, memory)
