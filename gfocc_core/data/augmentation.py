"""Draw the 2D augmentation of one camera: scale, crop and rotation as one map of pixels.

For training only. Pixel coordinates are continuous (the first pixel spans 0 to 1, its centre is
0.5), x to the right and y down, as in gfocc_core.preprocess and CameraView: `p' = A p + t`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from gfocc_core.config import ConfigError, ImageConfig
from gfocc_core.data.color_jitter import ColorJitterConfig
from gfocc_core.preprocess import place_image


@dataclass(frozen=True)
class AugmentationConfig:
    """Ranges that the draws are uniform in; the defaults are the paper's."""

    scale: tuple[float, float] = (0.38 / 0.44, 0.55 / 0.44)
    """Times the scale at which the image just covers the input (0.44 for 1600x900 -> 704x256)."""
    crop: float = 1.0
    """How much of the columns to choose from may be chosen: 0 always takes the middle ones, 1 any.
    An image narrower than the input is placed likewise. The bottom rows are always kept."""
    rotation_degrees: tuple[float, float] = (-5.4, 5.4)
    """About the input's centre."""
    color: ColorJitterConfig = field(default_factory=ColorJitterConfig)
    """One draw for all images of an item."""

    def __post_init__(self) -> None:
        for name, (low, high) in (
            ("scale", self.scale),
            ("rotation_degrees", self.rotation_degrees),
        ):
            if not (math.isfinite(low) and math.isfinite(high) and low <= high):
                raise ConfigError(f"augmentation.{name} must be low, high, got {low}, {high}")
        if not self.scale[0] > 0:
            raise ConfigError(f"augmentation.scale must be positive, got {self.scale[0]}")
        if not 0 <= self.crop <= 1:
            raise ConfigError(f"augmentation.crop must be in 0 to 1, got {self.crop}")


NO_AUGMENTATION = AugmentationConfig(scale=(1, 1), crop=0, rotation_degrees=(0, 0))
"""Places every image exactly as gfocc_core.preprocess.place_image does."""


@dataclass(frozen=True)
class InputPlacement:
    """One draw: the image is scaled, cut at `left` and `top`, and rotated about the input's centre.

    `affine` and `shift` are the sum of these steps. Done at once, no corner of the input stays
    black that the image could fill.
    """

    scale: float
    resized: tuple[int, int]
    """(height, width) of the scaled image in pixels, rounded."""
    left: int
    """First column of the scaled image that is kept; negative where it starts inside the input."""
    top: int
    rotation: float
    """Radians; positive turns the image's x axis towards its y axis (clockwise to the eye)."""
    size: tuple[int, int]
    """(height, width) of the input in pixels."""

    @property
    def affine(self) -> Tensor:
        """A: float64 [2, 2]."""
        return torch.tensor(self._matrix(), dtype=torch.float64)[:, :2]

    @property
    def shift(self) -> Tensor:
        """t: float64 [2] in input pixels."""
        return torch.tensor(self._matrix(), dtype=torch.float64)[:, 2]

    def _matrix(self) -> list[list[float]]:
        cos, sin = math.cos(self.rotation), math.sin(self.rotation)
        center_y, center_x = self.size[0] / 2, self.size[1] / 2
        x, y = -self.left - center_x, -self.top - center_y
        return [
            [cos * self.scale, -sin * self.scale, cos * x - sin * y + center_x],
            [sin * self.scale, cos * self.scale, sin * x + cos * y + center_y],
        ]


def draw_placement(
    generator: np.random.Generator,
    size: tuple[int, int],
    image: ImageConfig,
    config: AugmentationConfig,
) -> InputPlacement:
    """Draw how one camera's images are placed in the input; takes three numbers of the generator.

    Args:
        generator: Decides everything that is random.
        size: (height, width) of the full-size image in pixels.
        image: The input's raster.
        config: The ranges.
    """
    factor, position, rotation = (
        generator.uniform(*config.scale),
        generator.uniform(-config.crop / 2, config.crop / 2),
        generator.uniform(*config.rotation_degrees),
    )
    base = place_image(size, image)
    resized = (round(base.resized[0] * factor), round(base.resized[1] * factor))
    spare = resized[1] - image.width
    return InputPlacement(
        scale=base.scale * factor,
        resized=resized,
        left=math.floor(spare / 2 + position * abs(spare)),
        top=resized[0] - image.height,
        rotation=math.radians(rotation),
        size=(image.height, image.width),
    )
