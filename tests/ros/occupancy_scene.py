"""Small occupancies for the tests of messages, and clouds read as subscribers read them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField

from gfocc_core.frame import Occupancy
from gfocc_core.gaussians import Gaussians
from gfocc_core.grid import VoxelGrid
from gfocc_core.taxonomy import FREE_ID, NUM_PREDICTED_CLASSES
from gfocc_ros.publishing.occupied_voxels import OccupiedVoxels, occupied_voxels

GRID = VoxelGrid(lower=(-4.0, -2.0, -1.0), voxel_size=0.5, shape=(7, 5, 3))
STAMP_NS = 1_532_402_927_612_460_123
CAR, ROAD, SIDEWALK, VEGETATION = 4, 11, 13, 16
NUMPY_TYPES = {PointField.FLOAT32: "f4", PointField.UINT8: "u1"}


def free() -> torch.Tensor:
    return torch.full(GRID.shape, FREE_ID, dtype=torch.uint8)


def random_labels(seed: int, occupied: float = 0.5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, FREE_ID, GRID.shape, generator=generator).to(torch.uint8)
    labels[torch.rand(GRID.shape, generator=generator) > occupied] = FREE_ID
    return labels


def occupancy(
    labels: torch.Tensor,
    density: torch.Tensor | None = None,
    velocity: torch.Tensor | None = None,
    stamp_ns: int = STAMP_NS,
) -> Occupancy:
    density = torch.zeros(labels.shape) if density is None else density
    return Occupancy(labels, density, velocity, GRID, stamp_ns)


def voxels(labels: torch.Tensor, stamp_ns: int = STAMP_NS) -> OccupiedVoxels:
    return occupied_voxels(occupancy(labels, stamp_ns=stamp_ns))


def gaussians(opacities: list[float], seed: int = 0) -> Gaussians:
    """One random Gaussian per opacity."""
    generator = torch.Generator().manual_seed(seed)
    count = len(opacities)
    quats = torch.randn(count, 4, generator=generator)
    return Gaussians(
        means=torch.randn(count, 3, generator=generator),
        scales=torch.rand(count, 3, generator=generator) + 0.1,
        quats=quats / quats.norm(dim=-1, keepdim=True),
        opacities=torch.tensor(opacities),
        logits=torch.randn(count, NUM_PREDICTED_CLASSES, generator=generator),
        features=torch.zeros(count, 2),
    )


def read_points(cloud: PointCloud2) -> NDArray[np.void]:
    """Read as any subscriber does: only by what the message says about itself."""
    order = ">" if cloud.is_bigendian else "<"
    layout = np.dtype(
        {
            "names": [field.name for field in cloud.fields],
            "formats": [order + NUMPY_TYPES[field.datatype] for field in cloud.fields],
            "offsets": [field.offset for field in cloud.fields],
            "itemsize": cloud.point_step,
        }
    )
    assert cloud.height * cloud.row_step == len(cloud.data)
    assert cloud.row_step == cloud.width * cloud.point_step
    return np.frombuffer(cloud.data, layout)
