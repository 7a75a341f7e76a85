"""Backbone and feature pyramid: images to three feature levels (ALGORITHM 3.1)."""

from __future__ import annotations

from typing import cast

import timm
import torch
from timm.models import FeatureInfo
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork

from gfocc_core.config import ConfigError

BASE_STRIDE = 8
"""Stride of the finest level; every further level halves the resolution."""


class ImageEncoder(nn.Module):
    """Any timm backbone with feature maps at strides 8, 16, ..., and an FPN on top of them."""

    def __init__(self, backbone: str, channels: int, levels: int, pretrained: bool = False) -> None:
        """Args: backbone: timm name; channels: of every output level; levels: how many."""
        super().__init__()
        try:
            self.backbone = timm.create_model(backbone, features_only=True, pretrained=pretrained)
        except (RuntimeError, AttributeError) as error:
            raise ConfigError(f"model.backbone '{backbone}': {error}") from error
        info = cast("FeatureInfo", self.backbone.feature_info)
        self.picked = _positions_of(backbone, info.reduction(), levels)
        self.neck = FeaturePyramidNetwork([info.channels()[p] for p in self.picked], channels)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images [B, C, 3, H, W], normalised -> per level [B, C, channels, H / s, W / s]."""
        batch, cameras = images.shape[:2]
        # Depthwise convolutions run much faster with the channels last on a GPU.
        flat = images.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        features = self.backbone(flat)
        levels = self.neck({str(position): features[position] for position in self.picked})
        return [level.unflatten(0, (batch, cameras)) for level in levels.values()]


def _positions_of(backbone: str, reductions: list[int], levels: int) -> list[int]:
    """Which of a timm model's feature maps, of the given strides, the levels are."""
    strides = [BASE_STRIDE * 2**level for level in range(levels)]
    if not set(strides) <= set(reductions):
        raise ConfigError(
            f"model.backbone '{backbone}' has feature maps at strides {reductions}, needs {strides}"
        )
    return [reductions.index(stride) for stride in strides]
