"""One instant of a drive as the pictures show it: what cameras saw, what came out, what was true."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from gfocc_core.data.occ3d import Occ3dLabels
from gfocc_core.frame import Frame
from gfocc_core.metrics.sample_counts import SampleCounts


@dataclass(frozen=True)
class Comparison:
    """A prediction beside the truth, both in the truth's ego frame."""

    prediction: Tensor
    """uint8 [X, Y, Z]"""
    truth: Occ3dLabels
    counts: SampleCounts
    """Of this instant alone."""


@dataclass(frozen=True)
class Snapshot:
    """A frame and its prediction, with the truth where there is one."""

    title: str
    """Which instant this is, in words."""
    seconds: float
    """Since the drive's first snapshot."""
    frame: Frame | None
    """None where its images cannot be had."""
    labels: Tensor
    """uint8 [X, Y, Z] prediction in the frame's own ego frame."""
    comparison: Comparison | None
