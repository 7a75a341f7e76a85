"""What the pipeline needs of the predictor and of publishing; satisfied without being imported.

Tests put stand-ins in their places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from gfocc_core.config import Config
from gfocc_core.frame import Frame, Occupancy
from gfocc_core.gaussians import Gaussians
from gfocc_ros.publishing.prediction import Prediction, Wanted


class Predictor(Protocol):
    """gfocc_core.predictor.OccupancyPredictor, as the worker thread uses it."""

    config: Config
    device: torch.device

    @property
    def gaussians(self) -> Gaussians | None: ...

    @property
    def memory_age_s(self) -> float | None: ...

    def predict(self, frame: Frame, *, velocity: bool = False) -> Occupancy: ...

    def take_back(self) -> None: ...

    def forecast(self, seconds: Sequence[float]) -> tuple[Occupancy, ...]: ...

    def reset(self) -> None: ...


class Publishing(Protocol):
    """gfocc_ros.publishing.outputs.Outputs; `now_s` is the monotonic clock."""

    def wanted(self, now_s: float) -> Wanted: ...

    def publish(self, prediction: Prediction, now_s: float) -> None: ...

    def publish_forecast(
        self, forecasts: Sequence[Occupancy], stamp_ns: int, now_s: float
    ) -> None: ...
