"""How large networks want images, as their own packages resize them."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


def size_for_shorter_side(height: int, width: int, shorter: int, longest: int) -> tuple[int, int]:
    """(height, width) with the aspect kept: the shorter side as said, none above the longest."""
    low, high = min(height, width), max(height, width)
    if high / low * shorter > longest:
        shorter = max(1, round(longest * low / high))
    if low == shorter:
        return height, width
    if width < height:
        return int(shorter * height / width), shorter
    return shorter, int(shorter * width / height)


def size_for_longest_side(height: int, width: int, longest: int) -> tuple[int, int]:
    """(height, width) with the aspect kept and the longer side as said."""
    scale = longest / max(height, width)
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


def normalised(image: Tensor, size: tuple[int, int]) -> Tensor:
    """uint8 [H, W, 3] RGB -> float32 [3, *size]: resized without aliasing, ImageNet's colours."""
    pixels = image.permute(2, 0, 1)[None].float()
    if size != tuple(image.shape[:2]):
        pixels = F.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=True)
    mean, std = (
        pixels.new_tensor(colours).view(3, 1, 1) for colours in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return (pixels[0] - mean) / std
