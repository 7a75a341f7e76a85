"""Labels of one ego frame as another sees them: truth and prediction rarely share their instant."""

from __future__ import annotations

import torch
from torch import Tensor

from gfocc_core.geometry import transform_points
from gfocc_core.grid import OCC3D_GRID, VoxelGrid
from gfocc_core.taxonomy import FREE_ID


def resample_labels(
    labels: Tensor, source_from_target: Tensor, grid: VoxelGrid = OCC3D_GRID
) -> Tensor:
    """Give each voxel of the target's grid the label that its centre has in the source's.

    Args:
        labels: [X, Y, Z] ids in the source frame.
        source_from_target: [4, 4] rigid transform between the two ego frames, metres.
        grid: the same in both frames, each around its own origin.

    Returns:
        [X, Y, Z] ids in the target frame; free where the source's grid does not reach.

    Raises:
        ValueError: a shape does not fit.
    """
    if tuple(labels.shape) != grid.shape:
        raise ValueError(f"labels must be {list(grid.shape)}, got {list(labels.shape)}")
    if tuple(source_from_target.shape) != (4, 4):
        raise ValueError(f"source_from_target must be [4, 4], got {list(source_from_target.shape)}")
    axes = [torch.arange(count, device=labels.device) for count in grid.shape]
    centers = grid.centers_of(torch.stack(torch.meshgrid(*axes, indexing="ij"), -1))
    there = grid.index_of(transform_points(source_from_target.to(centers), centers.flatten(0, 2)))
    inside = grid.contains(there)
    resampled = labels.new_full((grid.num_voxels,), FREE_ID)
    resampled[inside] = labels[tuple(there[inside].T)]
    return resampled.view(grid.shape)
