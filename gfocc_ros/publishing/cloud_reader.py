"""The published cloud back to a grid of labels: for scoring and for pictures of what arrived."""

from __future__ import annotations

import numpy as np
import torch
from sensor_msgs.msg import PointCloud2
from torch import Tensor

from gfocc_core.grid import VoxelGrid
from gfocc_core.taxonomy import FREE_ID
from gfocc_ros.publishing.cloud_messages import CLOUD_POINT


def labels_from_cloud(message: PointCloud2, grid: VoxelGrid) -> Tensor:
    """Labels uint8 [X, Y, Z] of a `~/occupancy` cloud; voxels without a point are free.

    Raises:
        ValueError: the cloud is of another layout, or a point lies outside the grid.
    """
    if message.point_step != CLOUD_POINT.itemsize:
        raise ValueError(
            f"cloud.point_step must be {CLOUD_POINT.itemsize}, got {message.point_step}"
        )
    points = np.frombuffer(bytes(message.data), CLOUD_POINT)
    centers = np.stack([points["x"], points["y"], points["z"]], -1)
    index = grid.index_of(torch.from_numpy(centers))
    if not bool(grid.contains(index).all()):
        raise ValueError("the cloud holds a point outside the grid")
    labels = torch.full(grid.shape, FREE_ID, dtype=torch.uint8)
    labels[tuple(index.T)] = torch.from_numpy(points["label"].copy())
    return labels
