"""What enters the predictor (Frame) and what leaves it (Occupancy).

Outside data is checked here, once; inner functions trust it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gfocc_core.geometry import CameraRig
from gfocc_core.grid import VoxelGrid


@dataclass(frozen=True)
class Frame:
    """The images of all cameras around one instant, with their calibration and poses."""

    images: tuple[Tensor, ...]
    """Per camera uint8 [H_i, W_i, 3], RGB, on the host or the predictor's device; of a camera that is
    not valid anything goes."""
    rig: CameraRig
    global_from_ego: Tensor
    """[4, 4] float64 pose of the reference ego frame in a frame that does not move (odom, map)."""
    stamp_ns: int
    """Time of the reference ego pose in nanoseconds."""
    valid: tuple[bool, ...]
    """Which cameras delivered an image for this frame."""
    scene: str = ""
    """Name of the recording; memory is dropped when it changes."""

    def __post_init__(self) -> None:
        count = len(self.rig)
        if len(self.images) != count:
            raise ValueError(f"frame.images must have {count} entries, got {len(self.images)}")
        if len(self.valid) != count:
            raise ValueError(f"frame.valid must have {count} entries, got {len(self.valid)}")
        if tuple(self.global_from_ego.shape) != (4, 4):
            raise ValueError(
                f"frame.global_from_ego must be [4, 4], got {list(self.global_from_ego.shape)}"
            )
        if not bool(torch.isfinite(self.global_from_ego).all()):
            raise ValueError("frame.global_from_ego holds a NaN or infinite number")
        matrices, poses = (
            tensor.detach().cpu().numpy() for tensor in (self.rig.intrinsics, self.rig.ego_from_cam)
        )
        for index, name in enumerate(self.rig.names):
            if self.valid[index]:
                self._check_image(index, name)
                _check_geometry(name, matrices[index], poses[index])

    def _check_image(self, index: int, name: str) -> None:
        image, size = self.images[index], self.rig.image_sizes[index]
        if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(
                f"image of camera '{name}' must be uint8 [H, W, 3], "
                f"got {image.dtype} {list(image.shape)}"
            )
        if tuple(image.shape[:2]) != tuple(size):
            raise ValueError(
                f"image of camera '{name}' is {image.shape[1]}x{image.shape[0]}, "
                f"but its calibration is for {size[1]}x{size[0]}"
            )


def _check_geometry(name: str, matrix: NDArray[Any], pose: NDArray[Any]) -> None:
    """Intrinsics [3, 3] and pose [4, 4] of a camera; by NumPy, as torch is slow with few numbers."""
    if not np.isfinite(matrix).all() or not matrix[0, 0] > 0 or not matrix[1, 1] > 0:
        raise ValueError(
            f"intrinsics of camera '{name}' need positive, finite focal lengths, "
            f"got fx={float(matrix[0, 0])}, fy={float(matrix[1, 1])}"
        )
    if not np.isfinite(pose).all():
        raise ValueError(f"pose of camera '{name}' holds a NaN or infinite number")


@dataclass(frozen=True)
class Occupancy:
    """A semantic occupancy grid in the reference ego frame of one Frame."""

    labels: Tensor
    """uint8 [X, Y, Z] Occ3D ids; 17 is free."""
    density: Tensor
    """float32 [X, Y, Z] in 0 to 1."""
    velocity: Tensor | None
    """float32 [X, Y, Z, 3] m/s of the moving classes in the ego frame's axes, or None if not asked for."""
    grid: VoxelGrid
    stamp_ns: int
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    """Milliseconds: `total` of the whole prediction; with InferenceConfig.stage_timings also every
    stage's, in their order, before it. Empty for a forecast."""

    def to(self, device: torch.device | str) -> Occupancy:
        velocity = None if self.velocity is None else self.velocity.to(device)
        return replace(
            self, labels=self.labels.to(device), density=self.density.to(device), velocity=velocity
        )
