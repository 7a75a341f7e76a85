"""Resampling moves labels as a vehicle's motion does, and leaves them alone where it stands."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gfocc_core.geometry import transform_from, transform_points
from gfocc_core.grid import VoxelGrid
from gfocc_core.metrics.label_resampling import resample_labels
from gfocc_core.taxonomy import FREE_ID

GRID = VoxelGrid(lower=(-4.0, -4.0, -0.8), voxel_size=0.4, shape=(20, 20, 4))


def pose(x: float = 0.0, y: float = 0.0, yaw: float = 0.0) -> Tensor:
    turn = torch.tensor([math.cos(yaw / 2), 0, 0, math.sin(yaw / 2)], dtype=torch.float64)
    return transform_from(torch.tensor([x, y, 0.0], dtype=torch.float64), turn)


def random_labels() -> Tensor:
    return torch.randint(0, 18, GRID.shape, generator=torch.Generator().manual_seed(0)).to(
        torch.uint8
    )


@pytest.mark.parametrize("x", [0.0, 0.004, -0.19])
def test_less_than_half_a_voxel_changes_nothing(x: float) -> None:
    labels = random_labels()
    assert torch.equal(resample_labels(labels, pose(x), GRID), labels)


def test_a_vehicle_that_drove_on_sees_things_nearer() -> None:
    labels = torch.full(GRID.shape, FREE_ID, dtype=torch.uint8)
    labels[15, 10, 1] = 4
    # The target's ego stands 0.8 m ahead of the source's: two voxels.
    moved = resample_labels(labels, pose(0.8), GRID)
    assert moved[13, 10, 1] == 4
    assert (moved != FREE_ID).sum() == 1
    assert moved.dtype == torch.uint8


def test_beyond_the_source_grid_is_free() -> None:
    labels = torch.full(GRID.shape, 11, dtype=torch.uint8)
    moved = resample_labels(labels, pose(1.2), GRID)
    assert (moved[-3:] == FREE_ID).all()
    assert (moved[:-3] == 11).all()


def test_a_turn_agrees_with_every_voxel_done_by_hand() -> None:
    labels, source_from_target = random_labels(), pose(0.33, -0.7, 0.4)
    moved = resample_labels(labels, source_from_target, GRID)
    for index in torch.cartesian_prod(*(torch.arange(0, n, 3) for n in GRID.shape)):
        center = GRID.centers_of(index).double()
        there = GRID.index_of(transform_points(source_from_target, center[None]))[0]
        expected = labels[tuple(there)] if bool(GRID.contains(there)) else FREE_ID
        assert moved[tuple(index)] == expected


def test_bad_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"labels must be \[20, 20, 4\], got \[2, 2\]"):
        resample_labels(torch.zeros(2, 2), pose(), GRID)
    with pytest.raises(ValueError, match=r"source_from_target must be \[4, 4\], got \[3\]"):
        resample_labels(random_labels(), torch.zeros(3), GRID)
