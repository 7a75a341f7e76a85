"""What the outputs' users may choose, checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class OutputSettings:
    """Raises ValueError for values that make no sense."""

    base_frame: str = "base_link"
    """tf name of the ego frame that all outputs are in."""
    occupancy_rate_hz: float = 0.0
    """Each topic's greatest rate; 0: every frame."""
    grid_rate_hz: float = 0.0
    markers_rate_hz: float = 0.0
    gaussians_rate_hz: float = 0.0
    forecast_rate_hz: float = 0.0
    grid_min_height_m: float = -1.0
    """Obstacles that end below it (z of base_frame) are left out of the grid."""
    grid_max_height_m: float = 3.0
    """Obstacles that begin above it are left out of the grid: the vehicle passes under them."""
    forecast_horizons_s: tuple[float, ...] = (0.5, 1.0, 2.0, 3.0)
    """How far ahead the forecasts are."""
    gaussians_min_opacity: float = 0.1
    """Gaussians less opaque than this (0 to 1) are not shown."""

    def __post_init__(self) -> None:
        if not self.base_frame:
            raise ValueError("base_frame must not be empty")
        for topic in ("occupancy", "grid", "markers", "gaussians", "forecast"):
            rate_hz = self.rate_hz(topic)
            if not (math.isfinite(rate_hz) and rate_hz >= 0):
                raise ValueError(f"{topic}_rate_hz must be 0 or more, got {rate_hz}")
        if not self.grid_min_height_m < self.grid_max_height_m:
            raise ValueError(
                f"grid_min_height_m must be less than grid_max_height_m "
                f"({self.grid_max_height_m}), got {self.grid_min_height_m}"
            )
        if not all(math.isfinite(seconds) and seconds > 0 for seconds in self.forecast_horizons_s):
            raise ValueError(
                f"forecast_horizons_s must be positive, got {list(self.forecast_horizons_s)}"
            )
        if not 0 <= self.gaussians_min_opacity <= 1:
            raise ValueError(
                f"gaussians_min_opacity must be in [0, 1], got {self.gaussians_min_opacity}"
            )

    def rate_hz(self, topic: str) -> float:
        """The rate limit of one of the outputs that have one."""
        rate_hz: float = getattr(self, f"{topic}_rate_hz")
        return rate_hz
