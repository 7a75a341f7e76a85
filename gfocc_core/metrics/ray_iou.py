"""RayIoU: does a ray end in the right class at about the right distance?

Unlike voxel IoU it does not reward thick surfaces, and it needs no camera mask.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gfocc_core.grid import OCC3D_GRID, VoxelGrid
from gfocc_core.metrics.iou import (
    CONVENTION_A,
    NUM_IDS,
    check_ids,
    intersection_over_union,
)
from gfocc_core.metrics.ray_casting import RayHits, cast_rays
from gfocc_core.metrics.ray_set import ray_directions, rays_from
from gfocc_core.taxonomy import FREE_ID

THRESHOLDS_M: tuple[float, ...] = (1.0, 2.0, 4.0)
"""A ray of the right class is right when its distance is off by less than this; ascending."""


@dataclass(frozen=True)
class RayCounts:
    """Rays per id 0 to 16, of those whose truth is not free; samples add up."""

    hits: Tensor
    """int64 [3, 17] right rays per threshold."""
    truth: Tensor
    """int64 [17]"""
    predicted: Tensor
    """int64 [17]"""

    def __add__(self, other: RayCounts) -> RayCounts:
        return RayCounts(
            self.hits + other.hits, self.truth + other.truth, self.predicted + other.predicted
        )


@dataclass(frozen=True)
class RayIouScores:
    """Scores in per cent, float64; NaN where there was nothing to score."""

    mean: Tensor
    """[] over thresholds and 17 ids: the RayIoU that papers report."""
    mean_15: Tensor
    """[] the same without others and other_flat."""
    per_threshold: Tensor
    """[3] mean over 17 ids at 1, 2 and 4 m."""
    per_class: Tensor
    """[3, 17]; NaN for an id that no ray has."""


def count_rays(prediction: RayHits, truth: RayHits) -> RayCounts:
    """Compare the ends of the same rays in prediction and truth; rays whose truth is free drop out.

    Args:
        prediction: labels and distances, of any one shape.
        truth: the same rays in the ground truth.

    Raises:
        ValueError: shapes differ, or a label is out of range.
    """
    shapes = [list(t.shape) for h in (prediction, truth) for t in (h.labels, h.distances)]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError(f"labels and distances of all rays must have one shape, got {shapes}")
    check_ids("prediction.labels", prediction.labels)
    check_ids("truth.labels", truth.labels)
    error = (prediction.distances - truth.distances).abs()
    # Number of thresholds that each ray meets: with it, one count yields all of them.
    met = sum((error < limit).long() for limit in THRESHOLDS_M)
    triples = (met * NUM_IDS + truth.labels.long()) * NUM_IDS + prediction.labels.long()
    bins = (len(THRESHOLDS_M) + 1, NUM_IDS, NUM_IDS)
    counts = triples.flatten().bincount(minlength=bins[0] * NUM_IDS**2).view(bins)[:, :FREE_ID]
    right = counts.diagonal(dim1=1, dim2=2)
    return RayCounts(
        hits=right[1:].flip(0).cumsum(0),
        truth=counts.sum((0, 2)),
        predicted=counts.sum((0, 1))[:FREE_ID],
    )


def count_sample(
    prediction: Tensor, truth: Tensor, origins: Tensor, grid: VoxelGrid = OCC3D_GRID
) -> RayCounts:
    """Cast the fixed ray set through one sample's prediction and truth, and compare.

    Args:
        prediction: integer [X, Y, Z] ids, reference ego frame.
        truth: the same for the ground truth; no camera mask.
        origins: [O, 3] metres, see `select_ray_origins`.
        grid: where the voxels lie.

    Raises:
        ValueError: a shape does not fit, or an id is out of range.
    """
    for name, labels in (("prediction", prediction), ("truth", truth)):
        if tuple(labels.shape) != tuple(grid.shape):
            raise ValueError(f"{name} must be {list(grid.shape)}, got {list(labels.shape)}")
        check_ids(name, labels)
    if origins.ndim != 2 or origins.shape[1] != 3:
        raise ValueError(f"origins must be [O, 3], got {list(origins.shape)}")
    device = truth.device
    starts, directions = rays_from(origins.to(device), ray_directions().to(device))
    hits = cast_rays(torch.stack([prediction.to(truth), truth]), starts, directions, grid)
    return count_rays(*(RayHits(hits.labels[i], hits.distances[i]) for i in range(2)))


def ray_iou(counts: RayCounts) -> RayIouScores:
    """Scores of counts that were summed over a set."""
    per_class = 100 * intersection_over_union(counts.hits, counts.truth, counts.predicted)
    return RayIouScores(
        mean=per_class.nanmean(),
        mean_15=per_class[:, list(CONVENTION_A.averaged)].nanmean(),
        per_threshold=per_class.nanmean(1),
        per_class=per_class,
    )
