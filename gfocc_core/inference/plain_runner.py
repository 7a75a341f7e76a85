"""Frames in plain float32 torch, on any device: what the fast way is compared with.

On a CPU, where it is the only way, the encoder's batch norms are melted into its convolutions.
"""

from __future__ import annotations

import torch

from gfocc_core.config import Config
from gfocc_core.frame import Frame
from gfocc_core.inference.folded_norms import folded
from gfocc_core.inference.frame_pass import FrameResult, decode, occupancy, velocities
from gfocc_core.inference.stage_clock import FrameClock
from gfocc_core.model import GaussianFlowNetwork, Memory
from gfocc_core.preprocess import preprocess
from gfocc_core.temporal import TemporalState


class PlainRunner:
    """Runs a network in evaluation mode whose weights do not change any more."""

    def __init__(
        self, network: GaussianFlowNetwork, device: torch.device, clock: FrameClock
    ) -> None:
        self._network, self._device, self._clock = network, device, clock
        self._encode = folded(network.encoder) if device.type == "cpu" else network.encode

    def run(
        self, frame: Frame, past: TemporalState | None, config: Config, velocity: bool
    ) -> FrameResult:
        """As FrameRunner.run."""
        images, view = preprocess(frame, config.image, self._device)
        self._clock.mark("preprocess")
        levels = self._encode(images)
        self._clock.mark("encode")
        memory = None
        if past is not None:
            memory = Memory(past.means_in(frame.global_from_ego)[None], past.features[None])
        gaussians = decode(self._network, levels, view, memory)
        self._clock.mark("decode")
        speeds = velocities(self._network, gaussians, config) if velocity else None
        result = FrameResult(*occupancy(gaussians.item(0), speeds, config), gaussians.item(0))
        self._clock.mark("voxelize")
        return result
