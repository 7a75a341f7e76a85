"""What every renderer takes and gives."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class RenderViews:
    """V pinhole views of one raster; leading dimensions are those of the Gaussians."""

    cam_from_ego: Tensor
    """[..., V, 4, 4]"""
    intrinsics: Tensor
    """[..., V, 3, 3] in pixels of the raster; no skew."""
    size: tuple[int, int]
    """(height, width) of the raster."""


@dataclass(frozen=True)
class Rendered:
    """Alpha-blended images."""

    logits: Tensor
    """[..., V, height, width, K]: sum of w_i l_i."""
    depth: Tensor
    """[..., V, height, width] metres along the optical axis: sum of w_i z_i, not normalised."""
    alpha: Tensor
    """[..., V, height, width]: sum of w_i, in 0 to 1."""
