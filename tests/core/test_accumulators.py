"""The torchmetrics classes: many samples, and many processes, score as one."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from gfocc_core.grid import VoxelGrid
from gfocc_core.metrics.accumulators import OccupancyIoU, RayIoU
from gfocc_core.metrics.iou import CONVENTION_A, CONVENTION_B, confusion_matrix, occupancy_scores
from gfocc_core.metrics.ray_iou import count_sample, ray_iou

GRID = VoxelGrid(lower=(-8.0, -8.0, -1.0), voxel_size=0.8, shape=(20, 20, 8))
SAMPLES = 5


def sample(index: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Prediction, truth, mask and origins; another number of voxels and rays each time."""
    generator = torch.Generator().manual_seed(index)
    truth = torch.randint(0, 18, GRID.shape, generator=generator)
    truth[torch.rand(GRID.shape, generator=generator) < 0.8] = 17
    other = torch.randint(0, 18, GRID.shape, generator=generator)
    changed = torch.rand(GRID.shape, generator=generator) < 0.3
    mask = torch.rand(GRID.shape, generator=generator) < 0.1 * (index + 1)
    origins = torch.rand(index % 3 + 1, 3, generator=generator) * 4
    return torch.where(changed, other, truth), truth, mask, origins


def score(indices: range) -> dict[str, Tensor]:
    voxels, rays = OccupancyIoU(), RayIoU(GRID)
    for index in indices:
        prediction, truth, mask, origins = sample(index)
        voxels.update(prediction, truth, mask)
        rays.update(prediction, truth, origins)
    return {**voxels.compute(), **rays.compute()}


def score_in_process(rank: int, world_size: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=world_size
    )
    # Rank 0 has one sample more than rank 1.
    torch.save(score(range(rank, SAMPLES, world_size)), f"{folder}/rank{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_score_as_one(tmp_path: Path) -> None:
    spawn(score_in_process, args=(2, str(tmp_path)), nprocs=2)
    alone = score(range(SAMPLES))
    assert alone["miou_a"] > 0
    assert alone["rayiou"] > 0
    for rank in range(2):
        shared = torch.load(tmp_path / f"rank{rank}.pt", weights_only=True)
        assert shared.keys() == alone.keys()
        for name in alone:
            torch.testing.assert_close(shared[name], alone[name], equal_nan=True, rtol=0, atol=0)


def test_the_classes_return_what_the_functions_score() -> None:
    prediction, truth, mask, origins = sample(1)
    voxels, rays = OccupancyIoU(), RayIoU(GRID)
    voxels.update(prediction, truth, mask)
    rays.update(prediction, truth, origins)
    of_voxels, of_rays = voxels.compute(), rays.compute()
    confusion = confusion_matrix(prediction, truth, mask)
    for suffix, convention in (("a", CONVENTION_A), ("b", CONVENTION_B)):
        expected = occupancy_scores(confusion, convention)
        assert of_voxels[f"miou_{suffix}"] == expected.miou
        assert of_voxels[f"iou_{suffix}"] == expected.iou
        assert of_voxels[f"per_class_{suffix}"].equal(expected.per_class)
    expected_rays = ray_iou(count_sample(prediction, truth, origins, GRID))
    assert of_rays["rayiou"] == expected_rays.mean
    assert of_rays["rayiou_15"] == expected_rays.mean_15
    per_threshold = [of_rays[f"rayiou_{limit}m"] for limit in (1, 2, 4)]
    assert torch.stack(per_threshold).equal(expected_rays.per_threshold)
    torch.testing.assert_close(
        of_rays["rayiou_per_class"], expected_rays.per_class, equal_nan=True, rtol=0, atol=0
    )


def test_a_reset_forgets_the_samples_before() -> None:
    prediction, truth, mask, _ = sample(0)
    metric = OccupancyIoU()
    metric.update(truth, truth, mask)
    metric.reset()
    metric.update(prediction, truth, mask)
    assert int(metric.confusion.sum()) == int(mask.sum())
