"""Which runner a predictor gets: what was asked for, as far as the device can do it."""

from __future__ import annotations

import logging

import torch

from gfocc_core.inference.config import InferenceConfig
from gfocc_core.inference.frame_pass import FrameRunner
from gfocc_core.inference.plain_runner import PlainRunner
from gfocc_core.inference.stage_clock import FrameClock
from gfocc_core.inference.static_runner import StaticRunner
from gfocc_core.model import GaussianFlowNetwork
from gfocc_core.triton_support import triton_unusable

_log = logging.getLogger(__name__)


def runner_for(
    network: GaussianFlowNetwork,
    inference: InferenceConfig,
    device: torch.device,
    clock: FrameClock,
) -> FrameRunner:
    """The runner of a network that lies on the device."""
    if inference.is_plain:
        return PlainRunner(network, device, clock)
    obstacle = "it is no CUDA device" if device.type != "cuda" else triton_unusable(device)
    if obstacle:
        _log.warning("frames run in plain float32 on '%s': %s", device, obstacle)
        return PlainRunner(network, device, clock)
    return StaticRunner(network, inference, device, clock)
