"""The node with a small network, and a vehicle around it: what tests over DDS start from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gfocc_core.checkpoint import save_checkpoint
from gfocc_core.config import preset
from gfocc_core.grid import VoxelGrid
from gfocc_core.predictor import OccupancyPredictor
from tests.ros.camera_world import CameraWorld
from tests.ros.node_process import NodeProcess

GRID = VoxelGrid(lower=(-20.0, -20.0, -1.0), voxel_size=0.8, shape=(50, 40, 8))


def small_checkpoint(folder: Path) -> Path:
    """A network that is small enough for tests; its weights are random."""
    tiny = preset("tiny")
    config = replace(
        tiny,
        model=replace(tiny.model, gaussians=400, inducing_points=16, blocks=1),
        image=replace(tiny.image, height=64, width=176),
        grid=GRID,
    )
    path = folder / "small.safetensors"
    network = OccupancyPredictor.from_config(config, "cpu").network
    save_checkpoint(path, network.state_dict(), config)
    return path


@dataclass
class Running:
    node: NodeProcess
    world: CameraWorld


@contextmanager
def run(
    folder: Path, checkpoint: Path, *arguments: str, namespace: str = "/", raw: bool = False
) -> Iterator[Running]:
    """An active node that is connected with its vehicle; arguments follow `--ros-args`."""
    node = NodeProcess(
        folder, "-r", f"__ns:={namespace}", "-p", f"checkpoint:={checkpoint}", *arguments
    )
    try:
        node.wait_for_log("ready:")
        with CameraWorld(namespace, raw) as world:
            world.wait_for_node()
            yield Running(node, world)
    finally:
        node.kill()
