"""Occupancy ahead of time: moving Gaussians follow the flow head, the rest stays where it is.

The flow head knows offsets at whole steps (ALGORITHM 3.8); between two steps a Gaussian moves
straight and evenly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from gfocc_core.config import Config
from gfocc_core.gaussians import Gaussians
from gfocc_core.model import GaussianFlowNetwork
from gfocc_core.model.heads import is_dynamic
from gfocc_core.voxelizer.api import voxelize_labels, voxelize_labels_each

_ROUNDING = 1e-6
"""Steps closer than this are the same, as 6 and 2.1 / 0.35 should be."""


def check_horizons(seconds: Sequence[float], config: Config) -> None:
    """Raises ValueError for seconds outside of 0 to the flow's horizon."""
    steps, interval = config.model.flow_horizon, config.temporal.frame_interval
    for ahead in seconds:
        if not 0 <= ahead / interval <= steps + _ROUNDING:
            horizon = steps * interval
            raise ValueError(f"forecasts reach from 0 to {horizon:g} s ahead, got {ahead:g} s")


def voxels_ahead(
    network: GaussianFlowNetwork, gaussians: Gaussians, seconds: Sequence[float], config: Config
) -> Iterator[tuple[Tensor, Tensor]]:
    """Labels uint8 [X, Y, Z] and density [X, Y, Z] at each of some times; args as moved_gaussians."""
    splat = _splat_whole if gaussians.means.device.type == "cuda" else _splat_still_once
    return splat(network, gaussians, seconds, config)


def _splat_whole(
    network: GaussianFlowNetwork, gaussians: Gaussians, seconds: Sequence[float], config: Config
) -> Iterator[tuple[Tensor, Tensor]]:
    """All anew each time: a GPU's fused kernel is faster than adding logits."""
    for ahead in moved_gaussians(network, gaussians, seconds, config):
        yield voxelize_labels(ahead, config.grid, config.occupancy)


def _splat_still_once(
    network: GaussianFlowNetwork, gaussians: Gaussians, seconds: Sequence[float], config: Config
) -> Iterator[tuple[Tensor, Tensor]]:
    """What stays is splatted once; the few that move are added at each time."""
    moves = is_dynamic(gaussians.logits)
    ahead = list(moved_gaussians(network, gaussians.item(moves), seconds, config))
    return voxelize_labels_each(gaussians.item(~moves), ahead, config.grid, config.occupancy)


def moved_gaussians(
    network: GaussianFlowNetwork, gaussians: Gaussians, seconds: Sequence[float], config: Config
) -> Iterator[Gaussians]:
    """N Gaussians (unbatched) at each of some times, in the same ego frame.

    Args:
        network: whose flow head made the Gaussians' features, on their device.
        seconds: that have passed `check_horizons`.
    """
    moving = is_dynamic(gaussians.logits).nonzero().squeeze(-1)
    places = [_between_steps(ahead / config.temporal.frame_interval) for ahead in seconds]
    steps = sorted({step for before, after, _ in places for step in (before, after)} - {0})
    offsets = _offsets(network, gaussians.features[moving], steps)
    for before, after, share in places:
        offset = torch.lerp(offsets[before], offsets[after], share)
        yield replace(gaussians, means=gaussians.means.index_add(0, moving, offset))


def _between_steps(steps: float) -> tuple[int, int, float]:
    """The whole steps before and after a time, alike if it is one, and the share between them."""
    nearest = round(steps)
    if abs(steps - nearest) <= _ROUNDING:
        return nearest, nearest, 0.0
    before = math.floor(steps)
    return before, before + 1, steps - before


def _offsets(
    network: GaussianFlowNetwork, features: Tensor, steps: Sequence[int]
) -> dict[int, Tensor]:
    """Metres [M, 3] of M Gaussians with features [M, C] at each step; those of step 0 are zero."""
    offsets = {0: features.new_zeros(len(features), 3)}
    if steps:
        wanted = torch.tensor([steps], device=features.device)
        found = network.flow.offsets(features[None], wanted)[0]
        offsets.update(zip(steps, found, strict=True))
    return offsets
