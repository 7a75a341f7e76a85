"""Occ3D ground truth of a keyframe as a cloud of the occupied voxels' centres."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from gfocc_core.data.occ3d import read_occ3d
from gfocc_core.grid import OCC3D_GRID
from gfocc_core.taxonomy import COLORS, FREE_ID
from gfocc_ros.bags.clouds import Points, point_cloud

TRUTH_POINT: Final = np.dtype(
    {
        "names": ["x", "y", "z", "rgb", "label", "mask_lidar", "mask_camera"],
        "formats": [np.float32] * 4 + [np.uint8] * 3,
        "offsets": [0, 4, 8, 12, 16, 17, 18],
        "itemsize": 20,
    }
)
"""Metres in the ego frame; rgb is 0x00RRGGBB in the bits of a float32, as RViz and PCL have it;
label is the Occ3D id, the masks are 1 where a lidar ray or a camera saw the voxel."""

_RGB = np.array([red << 16 | green << 8 | blue for red, green, blue in COLORS], np.uint32)


def truth_cloud(stamp_ns: int, frame_id: str, path: Path) -> Any:
    """sensor_msgs/PointCloud2 of a labels.npz; DatasetError where it is missing or damaged."""
    return point_cloud(stamp_ns, frame_id, _truth_points(path))


def _truth_points(path: Path) -> Points:
    truth = read_occ3d(path)
    index = torch.nonzero(truth.semantics != FREE_ID)
    points = np.zeros(len(index), TRUTH_POINT)
    centers = OCC3D_GRID.centers_of(index).numpy()
    for axis, name in enumerate("xyz"):
        points[name] = centers[:, axis]
    voxels = tuple(index.T)
    points["label"] = truth.semantics[voxels].numpy()
    points["rgb"] = _RGB[points["label"]].view(np.float32)
    points["mask_lidar"] = truth.mask_lidar[voxels].numpy()
    points["mask_camera"] = truth.mask_camera[voxels].numpy()
    return points
