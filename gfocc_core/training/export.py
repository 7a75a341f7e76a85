"""Writes the averaged weights as the node's checkpoints while a run goes on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from gfocc_core.checkpoint import StoredPrecision, save_checkpoint
from gfocc_core.training.ema import MovingAverage
from gfocc_core.training.module import OccupancyLearner


class CheckpointExport(Callback):
    """`LAST` after every validation and at the end, `BEST` whenever val/loss is the lowest yet."""

    LAST, BEST = "last.safetensors", "best.safetensors"

    def __init__(
        self, out: Path, average: MovingAverage, precision: StoredPrecision = "float32"
    ) -> None:
        self._out, self._average, self._precision = out, average, precision
        self._best = math.inf

    def on_validation_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        self._write(self.LAST, pl_module)
        loss = trainer.callback_metrics.get("val/loss", torch.tensor(math.inf))
        if float(loss) < self._best:
            self._best = float(loss)
            self._write(self.BEST, pl_module)

    def on_train_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        if trainer.is_global_zero:
            self._write(self.LAST, pl_module)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._best = state_dict["best"]

    def _write(self, name: str, module: lightning.LightningModule) -> None:
        assert isinstance(module, OccupancyLearner)
        save_checkpoint(self._out / name, self._weights(), module.config, precision=self._precision)

    def _weights(self) -> dict[str, Tensor]:
        return self._average.network_weights()
