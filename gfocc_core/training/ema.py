"""Moving average of the weights, through Lightning's own averaging callback (ALGORITHM 5)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn

EMA_DECAY = 0.999
EMA_TIME = 2000.0
EMA_START = 10_560
"""Updates that are counted as done before the first one."""


def ema_decay(updates: int) -> float:
    """Share of the average that an update keeps, after so many updates of this run."""
    return EMA_DECAY * (1 - math.exp(-(EMA_START + updates) / EMA_TIME))


def _average(averages: Sequence[Tensor], currents: Sequence[Tensor], updates: Tensor | int) -> None:
    """Update averages in place; torch gives tensors of one type at a time."""
    if averages[0].is_floating_point():
        torch._foreach_lerp_(list(averages), list(currents), 1 - ema_decay(int(updates)))
    else:
        torch._foreach_copy_(list(averages), list(currents))


class MovingAverage(WeightAveraging):
    """Validation and the exported checkpoints use the averaged weights."""

    def __init__(self) -> None:
        super().__init__(multi_avg_fn=_average)

    def network_weights(self) -> dict[str, Tensor]:
        """State of the averaged network; raises RuntimeError before the first step."""
        if self._average_model is None:
            raise RuntimeError("no average yet: training has not begun")
        averaged: nn.Module = self._average_model.module
        return averaged.get_submodule("network").state_dict()
