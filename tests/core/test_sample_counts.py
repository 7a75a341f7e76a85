"""One object's counts give the numbers that the separate metrics give."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gfocc_core.grid import VoxelGrid
from gfocc_core.metrics.accumulators import OccupancyIoU, RayIoU
from gfocc_core.metrics.sample_counts import count_predictions

GRID = VoxelGrid(lower=(-8.0, -8.0, -1.0), voxel_size=0.8, shape=(20, 20, 8))
ORIGINS = torch.tensor([[0.1, 0.2, 1.5], [3.0, -1.0, 1.5]], dtype=torch.float64)


def scene(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Truth, a prediction that is right in most places, and a camera mask."""
    random = torch.Generator().manual_seed(seed)

    def labels() -> Tensor:
        ids = torch.randint(0, 17, GRID.shape, generator=random)
        return torch.where(torch.rand(GRID.shape, generator=random) < 0.9, 17, ids)

    truth, other = labels().to(torch.uint8), labels().to(torch.uint8)
    changed = torch.rand(GRID.shape, generator=random) < 0.1
    mask = torch.rand(GRID.shape, generator=random) < 0.5
    return truth, torch.where(changed, other, truth), mask


def test_two_samples_score_as_the_accumulated_metrics() -> None:
    voxels, rays = OccupancyIoU(), RayIoU(GRID)
    counts = []
    for seed in (1, 2):
        truth, prediction, mask = scene(seed)
        voxels.update(prediction, truth, mask)
        rays.update(prediction, truth, ORIGINS)
        counts += count_predictions([prediction], truth, mask, ORIGINS, GRID)
    scores = (counts[0] + counts[1]).headline()
    assert scores.miou == pytest.approx(float(voxels.compute()["miou_a"]))
    assert scores.iou == pytest.approx(float(voxels.compute()["iou_a"]))
    assert scores.rayiou == pytest.approx(float(rays.compute()["rayiou"]))
    assert 0 < scores.miou < 100


def test_several_predictions_score_as_each_alone() -> None:
    truth, prediction, mask = scene(3)
    together = count_predictions([prediction, truth], truth, mask, ORIGINS, GRID)
    alone = count_predictions([prediction], truth, mask, ORIGINS, GRID)[0]
    assert together[0].headline() == alone.headline()
    perfect = together[1].headline()
    assert (perfect.miou, perfect.iou, perfect.rayiou) == pytest.approx((100, 100, 100))


def test_an_empty_mask_scores_nothing() -> None:
    truth, prediction, mask = scene(4)
    nothing = count_predictions([prediction], truth, torch.zeros_like(mask), ORIGINS, GRID)[0]
    assert math.isnan(nothing.headline().miou)
    assert math.isnan(nothing.headline().iou)
