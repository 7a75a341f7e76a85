"""One camera's part of a frame: the image while it is decoded, and what the frame shows of it.

Used by the frame builder only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gfocc_ros.frames.camera_info import Calibration
from gfocc_ros.frames.image_decoders import Decoding


class SizeMismatchError(Exception):
    """An image is not of the size that its camera's calibration is for."""


@dataclass(frozen=True)
class CameraShot:
    """One camera's image while it is decoded."""

    stamp_ns: int
    frame_id: str
    calibration: Calibration
    decoding: Decoding


@dataclass(frozen=True)
class CameraShown:
    """One camera of a frame."""

    image: Tensor
    """uint8 [H, W, 3], RGB."""
    intrinsics: Tensor
    """[3, 3] float64, in pixels of `image`."""
    ego_from_cam: Tensor
    """[4, 4] float64."""
    stamp_ns: int
    ready_s: float
    """When the image was decoded, monotonic clock."""


MISSING = CameraShown(
    image=torch.zeros(1, 1, 3, dtype=torch.uint8),
    intrinsics=torch.eye(3, dtype=torch.float64),
    ego_from_cam=torch.eye(4, dtype=torch.float64),
    stamp_ns=0,
    ready_s=0.0,
)
"""Stands for a camera that is not valid; its values are never looked at."""


def shown(shot: CameraShot, ego_from_cam: Tensor) -> CameraShown:
    """Wait for the image.

    Raises:
        ImageDecodeError: it cannot be decoded.
        SizeMismatchError: it is not of its calibration's size.
    """
    decoded = shot.decoding.result()
    image, calibration = decoded.image, shot.calibration
    if image.full_size != calibration.image_size:
        (height, width), (due_height, due_width) = image.full_size, calibration.image_size
        found = f"image is {width}x{height}, its CameraInfo says {due_width}x{due_height}"
        raise SizeMismatchError(found)
    # The corner of the picture is its origin, which scaling leaves where it is.
    intrinsics = calibration.intrinsics
    if image.reduction > 1:
        intrinsics = torch.cat([intrinsics[:2] / image.reduction, intrinsics[2:]])
    return CameraShown(
        image=image.pixels,
        intrinsics=intrinsics,
        ego_from_cam=ego_from_cam,
        stamp_ns=shot.stamp_ns,
        ready_s=decoded.ready_s,
    )
