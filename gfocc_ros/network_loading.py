"""The network that the parameters ask for; knows no ROS."""

from __future__ import annotations

from dataclasses import replace

from gfocc_core.config import preset
from gfocc_core.inference import InferenceConfig
from gfocc_core.predictor import OccupancyPredictor, resolve_device
from gfocc_ros.parameters.parameter_row import ParameterError
from gfocc_ros.parameters.parameters import NodeParameters


def load_predictor(parameters: NodeParameters) -> OccupancyPredictor:
    """Load or build the network, on its device but not warmed up.

    Raises:
        ValueError: the checkpoint or the device cannot be used, or the checkpoint's network
            knows fewer cameras than are listed.
    """
    device = resolve_device(parameters.device)
    is_fast = parameters.inference == "fast"
    inference = InferenceConfig.fastest(device) if is_fast else InferenceConfig()
    count = len(parameters.cameras)
    if not parameters.checkpoint:
        config = preset(parameters.preset)
        model = replace(config.model, cameras=max(count, config.model.cameras))
        config = replace(config, model=model)
        return OccupancyPredictor.from_config(config, device, inference=inference)
    predictor = OccupancyPredictor.from_checkpoint(parameters.checkpoint, device, inference)
    if count > predictor.config.model.cameras:
        raise ParameterError(
            f"parameter 'cameras' lists {count} cameras, the network of checkpoint "
            f"'{parameters.checkpoint}' knows {predictor.config.model.cameras}"
        )
    return predictor
