"""What the network remembers between frames, and when it must forget.

The state's means live in the ego frame of the frame that made them; they are moved into
a new ego frame by the ego motion between both (ALGORITHM 4).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gfocc_core.config import TemporalConfig
from gfocc_core.frame import Frame
from gfocc_core.gaussians import Gaussians
from gfocc_core.geometry import invert_transform, transform_points


@dataclass(frozen=True)
class TemporalState:
    """The Gaussians of one past frame, reduced to what the decoder attends to."""

    means: Tensor
    """[N, 3] metres in the ego frame of that past frame."""
    features: Tensor
    """[N, C]"""
    global_from_ego: Tensor
    """[4, 4] float64 pose of that ego frame."""
    stamp_ns: int
    scene: str

    @classmethod
    def from_frame(cls, frame: Frame, gaussians: Gaussians) -> TemporalState:
        """The state that a frame's Gaussians (unbatched) leave behind."""
        return cls(
            gaussians.means.detach(),
            gaussians.features.detach(),
            frame.global_from_ego.double(),
            frame.stamp_ns,
            frame.scene,
        )

    def means_in(self, global_from_ego: Tensor) -> Tensor:
        """Means [N, 3] moved into the ego frame whose pose is given ([4, 4] float64)."""
        now_from_before = ego_motion(self.global_from_ego, global_from_ego)
        return transform_points(now_from_before.to(self.means), self.means)

    def broken_by(self, frame: Frame, config: TemporalConfig) -> str | None:
        """Why this state must not be carried into a frame, or None if it may."""
        if frame.scene != self.scene:
            return f"scene changed from '{self.scene}' to '{frame.scene}'"
        gap = (frame.stamp_ns - self.stamp_ns) * 1e-9
        if gap < 0:
            return f"time jumped back by {-gap:.3f} s"
        if gap > config.max_gap:
            return f"gap of {gap:.3f} s is longer than {config.max_gap} s"
        return None


def ego_motion(global_from_before: Tensor, global_from_now: Tensor) -> Tensor:
    """`now_from_before` [..., 4, 4] in float64, where kilometres cancel without loss."""
    inverse = invert_transform(global_from_now.double())
    return torch.matmul(inverse, global_from_before.double().to(inverse.device))
