"""What the renders are compared with (ALGORITHM 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from gfocc_core.gaussians import Gaussians
from gfocc_core.taxonomy import FREE_ID, NUM_PREDICTED_CLASSES

IGNORED = 0
"""Label of a pixel without semantics; depth 0 is a pixel without depth."""


_WEIGHTS = (
    "semantic_weight",
    "depth_weight",
    "thickness_weight",
    "occupancy_weight",
    "empty_weight",
)


@dataclass(frozen=True)
class LossConfig:
    """Weights and variants; the defaults are the paper's."""

    semantic_weight: float = 2.0
    depth_weight: float = 0.05
    """0 trains without depth."""
    depth_error: Literal["squared", "absolute", "log"] = "squared"
    """What is averaged: (d - t)^2, |d - t|, or (log d - log t)^2 (metres)."""
    max_depth: float = 40.0
    """Pixels with a label farther than this (metres) lose both labels."""
    class_weights: tuple[float, ...] | None = None
    """Cross-entropy weight of ids 1 to 16; None weighs all alike."""
    thickness_weight: float = 0.0
    """Weight of Gaussians whose thinnest axis exceeds `thickness`; 0 is off."""
    thickness: float = 0.15
    """Metres (standard deviation)."""
    occupancy_weight: float = 0.0
    """Weight of the 3D supervision; 0 is off."""
    empty_weight: float = 0.0
    """Weight of what is rendered on pixels that see past the grid; 0 is off."""
    empty_depth: float = 60.0
    """Pixels with a depth label from here on (metres; the grid's far corner is at 57) see past it."""

    def __post_init__(self) -> None:
        for name in _WEIGHTS:
            if getattr(self, name) < 0:
                raise ValueError(f"loss.{name} must be >= 0, got {getattr(self, name)}")
        for name in ("max_depth", "empty_depth", "thickness"):
            if not getattr(self, name) > 0:
                raise ValueError(f"loss.{name} must be positive, got {getattr(self, name)}")
        if self.class_weights is not None and len(self.class_weights) != NUM_PREDICTED_CLASSES:
            raise ValueError(
                f"loss.class_weights must have {NUM_PREDICTED_CLASSES} entries, "
                f"got {len(self.class_weights)}"
            )


@dataclass(frozen=True)
class WeightedSum:
    """A mean that is not divided yet, so that several processes can share one denominator."""

    total: Tensor
    count: Tensor

    def mean(self) -> Tensor:
        """0 where nothing was counted."""
        return self.total / self.count.clamp(min=torch.finfo(self.total.dtype).tiny)


def drop_far_labels(semantics: Tensor, depth: Tensor, max_depth: float) -> tuple[Tensor, Tensor]:
    """Both labels of pixels whose depth label is above max_depth become 0."""
    near = depth <= max_depth
    return semantics * near, depth * near


def semantic_loss(
    logits: Tensor, labels: Tensor, class_weights: tuple[float, ...] | None = None
) -> WeightedSum:
    """Cross entropy over labelled pixels.

    Args:
        logits: [..., K] rendered; channel k is id k + 1.
        labels: uint8 [...] Occ3D ids; 0 is ignored.
    """
    targets = labels.flatten().long() - 1  # IGNORED becomes -1
    weight = None if class_weights is None else logits.new_tensor(class_weights)
    # Not reduction="sum": on a GPU that runs in a single block, ten times slower than the rest.
    errors = F.cross_entropy(
        logits.flatten(0, -2), targets, weight, reduction="none", ignore_index=IGNORED - 1
    )
    labelled = targets >= 0
    count = labelled if weight is None else weight[targets.clamp(min=0)] * labelled
    return WeightedSum(errors.sum(), count.sum().to(errors))


def depth_loss(
    depth: Tensor, labels: Tensor, error: Literal["squared", "absolute", "log"] = "squared"
) -> WeightedSum:
    """Error of rendered depth [...] over pixels whose depth label [...] (metres) is positive."""
    labelled = labels > 0
    wanted = labels.to(depth.dtype)
    if error == "log":
        wanted = torch.where(labelled, wanted, 1)
        difference = depth.clamp(min=1e-2).log() - wanted.log()
    else:
        difference = depth - wanted
    errors = difference.abs() if error == "absolute" else difference.square()
    return WeightedSum((errors * labelled).sum(), labelled.sum().to(depth))


def thickness_loss(gaussians: Gaussians, thickness: float) -> Tensor:
    """Mean excess of the thinnest axis over `thickness` (metres), weighted with the opacity.

    Images see surfaces; what lies behind them is free to swell. Flat Gaussians are the surface
    prior of 2D splatting (Huang et al., SIGGRAPH 2024), here as a soft limit.
    """
    excess = (gaussians.scales.min(-1).values - thickness).clamp(min=0)
    return (excess * gaussians.opacities).float().mean()


def empty_loss(alpha: Tensor, depth: Tensor, empty_depth: float) -> WeightedSum:
    """Rendered opacity [...] where the depth label [...] (metres) says the view is free so far.

    A monocular depth network sees the sky as very far away, so this also clears the sky, which
    the semantic and depth losses leave alone.
    """
    empty = depth >= empty_depth
    return WeightedSum((alpha * empty).sum(), empty.sum().to(alpha))


def occupancy_loss(
    density: Tensor, logits: Tensor, labels: Tensor, mask: Tensor
) -> tuple[WeightedSum, WeightedSum]:
    """3D supervision inside a mask: is it occupied, and by what.

    Args:
        density: [..., X, Y, Z] in 0 to 1; logits: [..., X, Y, Z, K].
        labels: uint8 [..., X, Y, Z] Occ3D ids; id 0 is occupied, but of no class.
        mask: bool [..., X, Y, Z] voxels that count (the camera mask).
    """
    occupied = labels != FREE_ID
    inside = density[mask].float().clamp(1e-6, 1 - 1e-6)
    entropy = F.binary_cross_entropy(inside, occupied[mask].to(inside), reduction="sum")
    classed = mask & occupied & (labels != IGNORED)
    classes = F.cross_entropy(logits[classed], labels[classed].long() - 1, reduction="sum")
    return (
        WeightedSum(entropy, mask.sum().to(entropy)),
        WeightedSum(classes, classed.sum().to(classes)),
    )
