"""First positions of the Gaussians: drawn where depth labels lie, and learned at their own rate."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor

from gfocc_core.config import Config, ModelConfig
from gfocc_core.data.scenes import DatasetError
from gfocc_core.data.training_dataset import TrainingDataset
from gfocc_core.grid import OCC3D_GRID
from gfocc_core.training.config import DataConfig, RunConfig, TrainingConfig
from gfocc_core.training.initial_means import means_from_labels
from gfocc_core.training.losses import LossConfig
from gfocc_core.training.module import OccupancyLearner
from gfocc_core.training.schedule import OptimizerConfig

FORWARD = torch.tensor(
    [[0.0, 0, 1, 1], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]]
)  # a camera 1 m ahead of the ego's origin and 1.5 m above it, looking ahead
INTRINSICS = torch.tensor([[20.0, 0, 16], [0, 20, 8], [0, 0, 1]])


def items(*depths: Tensor) -> TrainingDataset:
    """A data set whose items have one camera with the given depth labels [h, w]."""
    rendered = [
        {
            "label_depth": depth[None, None],
            "label_intrinsics": INTRINSICS[None, None],
            "label_ego_from_cam": FORWARD[None, None],
        }
        for depth in depths
    ]
    return cast("TrainingDataset", rendered)


def test_positions_lie_on_the_labelled_surface() -> None:
    wall = torch.full((16, 32), 10.0)
    means = means_from_labels(items(wall), OCC3D_GRID, 200, 40.0, seed=0)
    assert means.shape == (200, 3)
    half = OCC3D_GRID.voxel_size
    assert ((means[:, 0] - 11).abs() <= half).all()  # 10 m of depth plus the camera's 1 m
    reach = 10 * 16 / 20  # depth times half the width over the focal length
    assert means[:, 1].abs().max() <= reach + half
    assert means[:, 1].min() < -reach + 2
    assert means[:, 1].max() > reach - 2
    assert means[:, 2].min() >= 1.5 - 10 * 8 / 20 - half
    assert means[:, 2].max() <= OCC3D_GRID.upper[2]


def test_far_and_missing_labels_do_not_count() -> None:
    depth = torch.zeros(16, 32)
    depth[:, :16], depth[4, 20] = 39.0, 5.0
    means = means_from_labels(items(depth), OCC3D_GRID, 50, 30.0, seed=0)
    assert (means[:, 0] < 7).all()


def test_what_is_seen_often_gets_more_but_not_in_proportion() -> None:
    near, far = torch.full((16, 32), 5.0), torch.full((16, 32), 20.0)
    near[:, 1:], far[:, 1:] = 0, 0  # a column each: voxels of two small groups
    clips = items(*[near] * 16, far)
    means = means_from_labels(clips, OCC3D_GRID, 4000, 40.0, seed=0)
    groups = [
        len(OCC3D_GRID.index_of(means[mask]).unique(dim=0))
        for mask in (means[:, 0] < 10, means[:, 0] > 10)
    ]
    often = (means[:, 0] < 10).float().mean() / groups[0]
    rarely = (means[:, 0] > 10).float().mean() / groups[1]
    assert often / rarely == pytest.approx(16**0.5, rel=0.15)


def test_the_draw_depends_on_the_seed_alone() -> None:
    clips = items(torch.full((16, 32), 10.0))
    first, again, other = (
        means_from_labels(clips, OCC3D_GRID, 20, 40.0, seed) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_labels_outside_the_grid_are_an_error() -> None:
    with pytest.raises(DatasetError, match="no depth label lies in the grid"):
        means_from_labels(items(torch.zeros(16, 32)), OCC3D_GRID, 20, 40.0, seed=0)


def test_means_learn_faster_by_their_factor_and_do_not_decay(monkeypatch: Any) -> None:
    model = ModelConfig(backbone="resnet10t", channels=16, heads=2, blocks=1, gaussians=10)
    optimizer = OptimizerConfig(learning_rate=1e-3, means_factor=20)
    learner = OccupancyLearner(Config(model=model), LossConfig(), optimizer)
    monkeypatch.setattr(
        OccupancyLearner, "trainer", type("T", (), {"estimated_stepping_batches": 10})()
    )
    configured = cast("dict[str, Any]", learner.configure_optimizers())
    others, means = configured["optimizer"].param_groups
    assert means["params"] == [learner.network.initial_means]
    assert means["initial_lr"] == pytest.approx(20 * others["initial_lr"])
    assert means["weight_decay"] == 0
    assert len(others["params"]) + 1 == len(list(learner.parameters()))


def test_given_weights_bring_their_own_means(tmp_path: Any) -> None:
    data = DataConfig(tmp_path, tmp_path, tmp_path)
    with pytest.raises(ValueError, match="initial_weights and initial_means exclude"):
        TrainingConfig(data, RunConfig(tmp_path), initial_weights=tmp_path, initial_means="labels")
