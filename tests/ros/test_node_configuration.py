"""What `configure` prepares for: the parameters' configuration, and frames that nothing holds up."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence

import pytest
import rclpy
import torch
from rclpy.lifecycle import TransitionCallbackReturn

from gfocc_core.config import Config, preset
from gfocc_core.grid import VoxelGrid
from gfocc_ros import node as node_module
from gfocc_ros.node import OccupancyNode

pytestmark = pytest.mark.ros


class WarmedUp:
    """Stands for a predictor: notes what it was warmed up with."""

    def __init__(self) -> None:
        self.config: Config = preset("tiny")
        self.device = torch.device("cpu")
        self.grid: VoxelGrid = self.config.grid
        self.seen: list[Config] = []
        self.sizes: list[Sequence[tuple[int, int]]] = []

    def warm_up(self, sizes: Sequence[tuple[int, int]], *, velocity: bool) -> float:
        self.seen.append(self.config)
        self.sizes.append(sizes)
        return 0.5


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[OccupancyNode, WarmedUp]]:
    predictor = WarmedUp()
    monkeypatch.setattr(node_module, "load_predictor", lambda _: predictor)
    arguments = [
        "-p",
        "density_threshold:=0.4",
        "-p",
        "cameras:=[left, right, rear]",
        "-p",
        "reference_camera:=left",
    ]
    rclpy.init(args=["--ros-args", *arguments])
    node = OccupancyNode()
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    yield node, predictor
    node.destroy_node()
    rclpy.try_shutdown()
    gc.unfreeze()


def test_warming_up_is_for_what_the_parameters_ask(
    configured: tuple[OccupancyNode, WarmedUp],
) -> None:
    _, predictor = configured
    trained = preset("tiny")
    assert predictor.seen[0].occupancy.threshold == 0.4
    assert predictor.config == trained
    assert predictor.sizes == [[(trained.image.height, trained.image.width)] * 3]


def test_the_garbage_collector_leaves_the_network_alone_until_it_goes(
    configured: tuple[OccupancyNode, WarmedUp],
) -> None:
    node, _ = configured
    assert gc.get_freeze_count() > 10_000
    assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
    assert gc.get_freeze_count() == 0
