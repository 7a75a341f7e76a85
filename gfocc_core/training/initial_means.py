"""First positions of the Gaussians: where the weak labels say that surfaces tend to be.

Drawn once before training. Uniform positions leave most Gaussians in the air, and they move only
a metre or two from where they start.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gfocc_core.data.scenes import DatasetError
from gfocc_core.data.training_dataset import TrainingDataset
from gfocc_core.data.training_item import TrainingItem
from gfocc_core.geometry import transform_points
from gfocc_core.grid import VoxelGrid

KEYFRAMES = 256
"""Evenly spaced training keyframes that are looked at."""


def means_from_labels(
    frames: TrainingDataset, grid: VoxelGrid, count: int, max_depth: float, seed: int
) -> Tensor:
    """Draw [count, 3] positions (metres, ego frame) from unprojected depth labels.

    A voxel is drawn with the square root of the number of keyframes whose labels touch it, so
    that the ground does not take all; a voxel repeats only if there are fewer than `count`.

    Raises:
        DatasetError: no depth label lies in the grid.
    """
    seen = torch.zeros(grid.num_voxels)
    for number in range(0, len(frames), max(1, len(frames) // KEYFRAMES)):
        index = grid.index_of(_points(frames[number], max_depth))
        inside = index[grid.contains(index)]
        touched = torch.zeros(grid.num_voxels, dtype=torch.bool)
        touched[grid.flatten_index(inside)] = True
        seen += touched
    reached = int((seen > 0).sum())
    if not reached:
        raise DatasetError("initial_means 'labels': no depth label lies in the grid")
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.multinomial(seen.sqrt(), count, reached < count, generator=generator)
    voxels = torch.stack(torch.unravel_index(chosen, grid.shape), -1)
    spread = torch.rand(count, 3, generator=generator) - 0.5
    return grid.centers_of(voxels) + spread * grid.voxel_size


def _points(item: TrainingItem, max_depth: float) -> Tensor:
    """The present's labelled pixels as points [P, 3] in the ego frame."""
    depth = item["label_depth"][0]
    rows, columns = (torch.arange(size) + 0.5 for size in depth.shape[1:])
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    pixels = torch.stack([x, y, torch.ones_like(x)], -1).flatten(0, 1)
    rays = pixels @ item["label_intrinsics"][0].inverse().transpose(-1, -2)
    points = transform_points(item["label_ego_from_cam"][0], rays * depth.flatten(1)[..., None])
    return points[((depth > 0) & (depth <= max_depth)).flatten(1)]
