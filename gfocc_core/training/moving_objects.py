"""Where things really move: the voxels around annotated objects that are not standing still.

Scores inside this region tell what motion costs: a network that smears a moving car over its path
is wrong here and almost nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gfocc_core.data.frames import REFERENCE_CHANNEL
from gfocc_core.data.scenes import get_record
from gfocc_core.data.sensors import global_from_ego, keyframe_reading
from gfocc_core.geometry import invert_transform, transform_from
from gfocc_core.grid import OCC3D_GRID, VoxelGrid

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

MIN_SPEED = 0.5
"""Metres per second above which an object counts as moving."""
MARGIN = 1.0
"""Metres around its box, ahead and aside, that still belong to its region."""

Array = npt.NDArray[np.float64]


def moving_region(nusc: NuScenes, token: str, grid: VoxelGrid = OCC3D_GRID) -> Tensor:
    """Voxels of a keyframe whose centre is in a moving object's box, grown by MARGIN.

    Returns:
        bool [X, Y, Z] in the reference ego frame; all False without annotations.
    """
    region = np.zeros(grid.shape, bool)
    lower, size = np.array(grid.lower), grid.voxel_size
    for ego_from_box, half in _moving_boxes(nusc, token):
        reach = np.abs(ego_from_box[:3, :3]) @ half
        first = np.floor((ego_from_box[:3, 3] - reach - lower) / size).astype(int)
        last = np.floor((ego_from_box[:3, 3] + reach - lower) / size).astype(int) + 1
        first, last = np.clip(first, 0, grid.shape), np.clip(last, 0, grid.shape)
        axes = [
            lower[axis] + (np.arange(first[axis], last[axis]) + 0.5) * size for axis in range(3)
        ]
        centers = np.stack(np.meshgrid(*axes, indexing="ij"), -1) - ego_from_box[:3, 3]
        inside = (np.abs(centers @ ego_from_box[:3, :3]) <= half).all(-1)
        region[tuple(slice(a, b) for a, b in zip(first, last, strict=True))] |= inside
    return torch.from_numpy(region)


def _moving_boxes(nusc: NuScenes, token: str) -> Iterator[tuple[Array, Array]]:
    """`ego_from_box` [4, 4] and half extents [3] (length, width, height; with margin)."""
    sample = get_record(nusc, "sample", token)
    reference = keyframe_reading(nusc, sample, REFERENCE_CHANNEL)
    ego_from_global = invert_transform(global_from_ego(nusc, reference)).numpy()
    for annotation in sample["anns"]:
        speed = np.linalg.norm(nusc.box_velocity(annotation))
        if not speed > MIN_SPEED:  # NaN where the object is annotated only once
            continue
        record = get_record(nusc, "sample_annotation", annotation)
        width, length, height = record["size"]
        global_from_box = transform_from(
            torch.tensor(record["translation"], dtype=torch.float64),
            torch.tensor(record["rotation"], dtype=torch.float64),
        ).numpy()
        half = np.array([length / 2 + MARGIN, width / 2 + MARGIN, height / 2])
        yield ego_from_global @ global_from_box, half
