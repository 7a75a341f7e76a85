"""The scene as anisotropic 3D Gaussians with class logits: what the network hands on."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from gfocc_core.geometry import matrix_from_quaternion


@dataclass(frozen=True)
class Gaussians:
    """N Gaussians in the ego frame; every tensor may carry the same leading batch dimensions."""

    means: Tensor
    """[..., N, 3] metres."""
    scales: Tensor
    """[..., N, 3] standard deviations along the Gaussian's own axes, metres."""
    quats: Tensor
    """[..., N, 4] unit quaternions wxyz, ego_from_gaussian."""
    opacities: Tensor
    """[..., N] in 0 to 1."""
    logits: Tensor
    """[..., N, K] class logits; channel k is Occ3D id k + 1."""
    features: Tensor
    """[..., N, C] the decoder's features: what the next frame remembers."""

    def __len__(self) -> int:
        return self.means.shape[-2]

    def to(self, device: torch.device | str) -> Gaussians:
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def item(self, index: int | Tensor) -> Gaussians:
        """One element of the leading dimension, or those that a tensor chooses."""
        return replace(self, **{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def covariances(self) -> Tensor:
        """[..., N, 3, 3] `R diag(scales^2) R^T` in square metres."""
        axes = matrix_from_quaternion(self.quats) * self.scales.unsqueeze(-2)
        return axes @ axes.transpose(-1, -2)
