"""What the outputs ask of one frame (Wanted) and what they are given for it (Prediction)."""

from __future__ import annotations

from dataclasses import dataclass

from gfocc_core.frame import Occupancy
from gfocc_core.gaussians import Gaussians


@dataclass(frozen=True)
class Wanted:
    """The parts beyond labels and density that someone waits for; the others may be left out."""

    velocity: bool
    gaussians: bool
    forecast: bool


@dataclass(frozen=True)
class Prediction:
    """One frame's results, all in that frame's reference ego frame."""

    occupancy: Occupancy
    gaussians: Gaussians | None
