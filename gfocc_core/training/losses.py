"""What the renders are compared with (ALGORITHM 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from gfocc_core.taxonomy import FREE_ID, NUM_PREDICTED_CLASSES

IGNORED = 0
"""Label of a pixel without semantics; depth 0 is a pixel without depth."""


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
    occupancy_weight: float = 0.0
    """Weight of the 3D supervision; 0 is off."""

    def __post_init__(self) -> None:
        for name in ("semantic_weight", "depth_weight", "occupancy_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"loss.{name} must be >= 0, got {getattr(self, name)}")
        if not self.max_depth > 0:
            raise ValueError(f"loss.max_depth must be positive, got {self.max_depth}")
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
    labelled = labels != IGNORED
    weight = None if class_weights is None else logits.new_tensor(class_weights)
    targets = labels[labelled].long() - 1
    total = F.cross_entropy(logits[labelled], targets, weight, reduction="sum")
    count = labelled.sum() if weight is None else weight[targets].sum()
    return WeightedSum(total, count.to(total))


def depth_loss(
    depth: Tensor, labels: Tensor, error: Literal["squared", "absolute", "log"] = "squared"
) -> WeightedSum:
    """Error of rendered depth [...] over pixels whose depth label [...] (metres) is positive."""
    labelled = labels > 0
    predicted, wanted = depth[labelled], labels[labelled].to(depth.dtype)
    if error == "squared":
        errors = (predicted - wanted).square()
    elif error == "absolute":
        errors = (predicted - wanted).abs()
    else:
        errors = (predicted.clamp(min=1e-2).log() - wanted.log()).square()
    return WeightedSum(errors.sum(), labelled.sum().to(depth))


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
