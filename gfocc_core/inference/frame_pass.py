"""From feature levels to occupancy: what every way to run a frame computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from gfocc_core.config import Config
from gfocc_core.frame import Frame
from gfocc_core.gaussians import Gaussians
from gfocc_core.geometry import CameraView
from gfocc_core.model import GaussianFlowNetwork, Memory
from gfocc_core.temporal import TemporalState
from gfocc_core.voxelizer.api import voxelize_labels, voxelize_moving


@dataclass(frozen=True)
class FrameResult:
    """What a frame leaves behind, on the device."""

    labels: Tensor
    """uint8 [X, Y, Z]"""
    density: Tensor
    """float32 [X, Y, Z]"""
    velocity: Tensor | None
    """float32 [X, Y, Z, 3] m/s, if it was asked for."""
    gaussians: Gaussians
    """N of them; the runner may reuse their memory in its next frame."""


class FrameRunner(Protocol):
    """A way to run frames; work may still be under way on the device when `run` returns."""

    def run(
        self, frame: Frame, past: TemporalState | None, config: Config, velocity: bool
    ) -> FrameResult:
        """Compute one frame.

        Args:
            past: what the frame remembers, or None at the start of a stream.
            config: the predictor's; its occupancy and temporal parts may change between frames.
            velocity: also splat the flow head's velocities.
        """


def decode(
    network: GaussianFlowNetwork, levels: list[Tensor], view: CameraView, memory: Memory | None
) -> Gaussians:
    """Gaussians with a leading [1]; without memory a memoryless pass comes first and is it."""
    if memory is None:
        # A copy: a compiled decoder is compiled anew where its memory is its own start.
        start = (network.initial_means, network.initial_features)
        first = network.decode(levels, view, Memory(*(part[None].clone() for part in start)))
        memory = Memory(first.means, first.features)
    return network.decode(levels, view, memory)


def velocities(network: GaussianFlowNetwork, gaussians: Gaussians, config: Config) -> Tensor:
    """[N, 3] m/s of Gaussians with a leading [1]."""
    step = torch.ones(1, 1, dtype=torch.long, device=gaussians.means.device)
    return network.flow(gaussians, step)[0, 0] / config.temporal.frame_interval


def occupancy(
    gaussians: Gaussians, velocities: Tensor | None, config: Config
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Labels, density and, if the Gaussians' [N, 3] are given, velocity of N Gaussians."""
    if velocities is None:
        return (*voxelize_labels(gaussians, config.grid, config.occupancy), None)
    return voxelize_moving(gaussians, velocities, config.grid, config.occupancy)
