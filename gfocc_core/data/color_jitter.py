"""Draw how the colours of a training item are changed: one affine map of RGB.

Brightness, contrast, saturation and hue are linear in RGB, so that any mix of them is a single
3x4 matrix, which the GPU applies (`apply_color`) and the dataset only draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from gfocc_core.config import ConfigError

LUMA = (0.299, 0.587, 0.114)
"""Share of R, G and B in the brightness of a colour (ITU-R BT.601)."""
_MIDDLE_GREY = 127.5
_RGB_TO_YIQ = np.array([LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)])


@dataclass(frozen=True)
class ColorJitterConfig:
    """How far each draw goes; all 0 leaves the colours alone, as the paper does."""

    brightness: float = 0.0
    """Colours are multiplied by 1 - b to 1 + b."""
    contrast: float = 0.0
    """Distances from middle grey are multiplied by 1 - c to 1 + c."""
    saturation: float = 0.0
    """Distances from the colour's own grey are multiplied by 1 - s to 1 + s."""
    hue_degrees: float = 0.0
    """Colours turn about the grey axis (in YIQ) by up to this angle."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value, most = getattr(self, field.name), 180 if field.name == "hue_degrees" else 1
            if not 0 <= value <= most:
                raise ConfigError(
                    f"augmentation.color.{field.name} must be in 0 to {most}, got {value}"
                )


def draw_color(generator: np.random.Generator, config: ColorJitterConfig) -> Tensor:
    """[3, 4] float32: `rgb' = M[:, :3] rgb + M[:, 3]` on 0 to 255; takes four numbers."""
    brightness, contrast, saturation = (
        1 + strength * generator.uniform(-1, 1)
        for strength in (config.brightness, config.contrast, config.saturation)
    )
    hue = math.radians(config.hue_degrees) * generator.uniform(-1, 1)
    turn = np.array(
        [[1, 0, 0], [0, math.cos(hue), -math.sin(hue)], [0, math.sin(hue), math.cos(hue)]]
    )
    grey = np.tile(LUMA, (3, 1))
    matrix = saturation * np.eye(3) + (1 - saturation) * grey
    matrix = brightness * contrast * matrix @ np.linalg.inv(_RGB_TO_YIQ) @ turn @ _RGB_TO_YIQ
    offset = np.full((3, 1), (1 - contrast) * _MIDDLE_GREY)
    return torch.from_numpy(np.hstack([matrix, offset])).float()


def apply_color(color: Tensor, images: Tensor) -> Tensor:
    """Images [B, ..., 3, H, W] in 0 to 255 through the maps [B, 3, 4]; float32, in 0 to 255."""
    between = (1,) * (images.ndim - 4)
    matrix = color[..., :3].unflatten(0, (-1, *between))
    offset = color[..., 3].unflatten(0, (-1, *between))[..., None, None]
    pixels = images.float().flatten(-2)
    return ((matrix @ pixels).unflatten(-1, images.shape[-2:]) + offset).clamp(0, 255)
