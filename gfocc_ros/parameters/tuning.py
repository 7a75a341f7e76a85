"""What the parameters change of a checkpoint's configuration while frames run; knows no ROS."""

from __future__ import annotations

from dataclasses import replace

from gfocc_core.config import Config
from gfocc_ros.parameters.parameters import NodeParameters


class Tuning:
    """Puts the parameters' threshold, neighbourhood and memory interval into a configuration.

    Args:
        trained: as the checkpoint has it; its values hold where the parameters leave them.
    """

    def __init__(self, trained: Config) -> None:
        self.trained = trained

    def applied(self, parameters: NodeParameters) -> Config:
        """The configuration for the next frame; equal for equal parameters."""
        occupancy, temporal = self.trained.occupancy, self.trained.temporal
        if parameters.density_threshold >= 0:
            occupancy = replace(occupancy, threshold=parameters.density_threshold)
        if parameters.neighborhood >= 0:
            occupancy = replace(occupancy, neighborhood=parameters.neighborhood)
        if parameters.memory_interval_s >= 0:
            temporal = replace(temporal, memory_interval=parameters.memory_interval_s)
        return replace(self.trained, occupancy=occupancy, temporal=temporal)
