"""The ROS latency benchmark's network: random weights that occupy as much as trained ones do.

With the presets' threshold random weights occupy half of the grid, and the clouds of such a node
are ten times as large as those of a real one.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from inference_stream import FrameStream

from gfocc_core.checkpoint import save_checkpoint
from gfocc_core.config import Config
from gfocc_core.inference import InferenceConfig
from gfocc_core.model import GaussianFlowNetwork
from gfocc_core.predictor import OccupancyPredictor

SEED = 0
FRAMES = 3
"""Over so many the number of voxels is right, each with memory of the one before it."""


def write_random_checkpoint(
    path: Path,
    config: Config,
    voxels: int,
    stream: FrameStream,
    device: torch.device,
    inference: InferenceConfig,
) -> float:
    """Write random weights; returns the threshold with which they occupy about so many voxels.

    Args:
        stream: frames as the node will see them.
        inference: the node's, for reduced precision moves densities a little.

    Raises:
        ValueError: the weights never occupy so many voxels.
    """
    count = max(stream.cameras, config.model.cameras)
    config = replace(config, model=replace(config.model, cameras=count))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network = GaussianFlowNetwork(config.model, config.grid)
    save_checkpoint(path, network.state_dict(), config)
    predictor = OccupancyPredictor.from_checkpoint(path, device, inference)
    return threshold_for(predictor, voxels, stream)


def threshold_for(predictor: OccupancyPredictor, voxels: int, stream: FrameStream) -> float:
    """The density from which on a frame of the stream has about so many voxels, on average.

    Raises:
        ValueError: there are not so many with any density.
    """
    densities = []
    for number in range(FRAMES + 1):
        occupancy = predictor.predict(stream.frame(number))
        if number:  # the first one has no memory
            densities.append(occupancy.density.float().cpu().flatten())
    every = torch.cat(densities)
    found = int((every > 0).sum()) // FRAMES
    if voxels > found:
        raise ValueError(f"--voxels {voxels}: the random weights occupy {found} at the most")
    return float(every.topk(FRAMES * voxels).values[-1])
