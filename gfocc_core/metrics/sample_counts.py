"""All counts of one sample in one object that adds up: mIoU, IoU and RayIoU without torchmetrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gfocc_core.grid import OCC3D_GRID, VoxelGrid
from gfocc_core.metrics.iou import CONVENTION_A, confusion_matrix, occupancy_scores
from gfocc_core.metrics.ray_casting import RayHits, cast_rays
from gfocc_core.metrics.ray_iou import RayCounts, count_rays, ray_iou
from gfocc_core.metrics.ray_set import ray_directions, rays_from


@dataclass(frozen=True)
class Headline:
    """The three numbers the field compares by, in per cent; NaN where nothing was to score."""

    miou: float
    """Convention A: camera-visible voxels, mean over 15 ids."""
    iou: float
    """Convention A: occupied versus free."""
    rayiou: float
    """Mean over 17 ids and three thresholds, no mask."""


@dataclass(frozen=True)
class SampleCounts:
    """What one or more samples contribute."""

    confusion: Tensor
    """int64 [18, 18] of the voxels that cameras see; rows are true ids."""
    rays: RayCounts

    def __add__(self, other: SampleCounts) -> SampleCounts:
        return SampleCounts(self.confusion + other.confusion, self.rays + other.rays)

    def headline(self) -> Headline:
        """Scores of all counted samples together."""
        voxels = occupancy_scores(self.confusion, CONVENTION_A)
        return Headline(float(voxels.miou), float(voxels.iou), float(ray_iou(self.rays).mean))


def count_predictions(
    predictions: Sequence[Tensor],
    truth: Tensor,
    mask_camera: Tensor,
    origins: Tensor,
    grid: VoxelGrid = OCC3D_GRID,
) -> tuple[SampleCounts, ...]:
    """Count several predictions of one sample, the truth's rays cast only once.

    Args:
        predictions: integer [X, Y, Z] ids each, reference ego frame.
        truth: the same for the ground truth.
        mask_camera: bool [X, Y, Z], voxels that count for mIoU and IoU.
        origins: [O, 3] metres, see `select_ray_origins`.
        grid: where the voxels lie.

    Raises:
        ValueError: a shape does not fit, or an id is out of range.
    """
    confusions = [confusion_matrix(prediction, truth, mask_camera) for prediction in predictions]
    starts, directions = rays_from(origins, ray_directions().to(origins.device))
    grids = torch.stack([truth, *(prediction.to(truth) for prediction in predictions)])
    hits = cast_rays(grids, starts, directions, grid)
    of_truth, *of_predictions = (
        RayHits(labels, distances)
        for labels, distances in zip(hits.labels, hits.distances, strict=True)
    )
    return tuple(
        SampleCounts(confusion, count_rays(rays, of_truth))
        for confusion, rays in zip(confusions, of_predictions, strict=True)
    )
