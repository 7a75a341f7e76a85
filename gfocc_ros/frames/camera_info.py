"""sensor_msgs/CameraInfo to the pinhole matrix and size of the rectified image.

Called by the frame builder's calibration book and by the exporter of recordings; needs no ROS.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from sensor_msgs.msg import CameraInfo

SHORTEST_FOCAL, LONGEST_FOCAL = 1.0, 1e6
"""Pixels; shorter ones are given in other units, longer ones see next to nothing."""


class CalibrationError(ValueError):
    """A CameraInfo that describes no pinhole camera."""


@dataclass(frozen=True)
class Calibration:
    """How a rectified image shows the world, and of which size it must be."""

    intrinsics: Tensor
    """Pinhole matrix float64 [3, 3] in pixels of the image that is sent."""
    image_size: tuple[int, int]
    """(height, width) in pixels after region of interest and binning."""


def calibration_from_message(info: CameraInfo) -> Calibration:
    """The left part of P (where P is not filled in: K), for the region and binning that are sent.

    A CameraInfo describes the full sensor; a driver that sends a part of it, or merges pixels,
    says so in `roi` and `binning_x`, `binning_y`.

    Raises:
        CalibrationError: a focal length is none in pixels (by the message's definition
            K[0] = 0 means uncalibrated), another entry is not finite, the last row is not
            0 0 1, or the region of interest is not one of the rectified sensor.
    """
    k = [float(value) for value in info.k]
    p = [float(value) for value in info.p]
    used, name = (k, "K") if not any(p) else ([*p[0:3], *p[4:7], *p[8:11]], "P")
    for matrix, label in ((k, "K"), (used, name)):
        fx, fy = matrix[0], matrix[4]
        if not all(SHORTEST_FOCAL <= focal <= LONGEST_FOCAL for focal in (fx, fy)):
            raise CalibrationError(
                f"CameraInfo needs focal lengths of {SHORTEST_FOCAL:.0f} to {LONGEST_FOCAL:.0f} "
                f"pixels, {label} has fx={fx}, fy={fy}"
            )
    if not all(math.isfinite(value) for value in used):
        raise CalibrationError(f"CameraInfo holds a NaN or infinite number in {name}")
    if used[6:] != [0.0, 0.0, 1.0]:
        raise CalibrationError(f"CameraInfo's {name} must end in the row 0 0 1, got {used[6:]}")
    return _of_sent_part(info, torch.tensor(used, dtype=torch.float64).view(3, 3))


def _of_sent_part(info: CameraInfo, full: Tensor) -> Calibration:
    roi = info.roi
    bins = (max(1, info.binning_x), max(1, info.binning_y))
    width, height = roi.width or info.width, roi.height or info.height
    found = f"{width}x{height} at ({roi.x_offset}, {roi.y_offset})"
    if roi.x_offset + width > info.width or roi.y_offset + height > info.height:
        raise CalibrationError(
            f"CameraInfo's roi is {found}, outside of its {info.width}x{info.height} pixels"
        )
    if roi.do_rectify and (width, height) != (info.width, info.height):
        raise CalibrationError(
            f"CameraInfo's roi ({found}) is one of the raw image, a rectified one is needed"
        )
    to_part = torch.tensor(
        [
            [1 / bins[0], 0.0, -roi.x_offset / bins[0]],
            [0.0, 1 / bins[1], -roi.y_offset / bins[1]],
            [0.0, 0.0, 1.0],
        ],
        dtype=torch.float64,
    )
    return Calibration(to_part @ full, (height // bins[1], width // bins[0]))
