"""Moving average of the weights, through Lightning's own averaging callback (ALGORITHM 5)."""

from __future__ import annotations

import math

from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn

EMA_DECAY = 0.999
EMA_TIME = 2000.0
EMA_START = 10_560
"""Updates that are counted as done before the first one."""


def ema_decay(updates: int) -> float:
    """Share of the average that an update keeps, after so many updates of this run."""
    return EMA_DECAY * (1 - math.exp(-(EMA_START + updates) / EMA_TIME))


def _average(average: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
    return average + (current - average) * (1 - ema_decay(int(updates)))


class MovingAverage(WeightAveraging):
    """Validation and the exported checkpoints use the averaged weights."""

    def __init__(self) -> None:
        super().__init__(avg_fn=_average)

    def network_weights(self) -> dict[str, Tensor]:
        """State of the averaged network; raises RuntimeError before the first step."""
        if self._average_model is None:
            raise RuntimeError("no average yet: training has not begun")
        averaged: nn.Module = self._average_model.module
        return averaged.get_submodule("network").state_dict()
