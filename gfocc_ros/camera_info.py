"""sensor_msgs/CameraInfo to the pinhole matrix of the rectified image.

Called by the frame builder.
"""

from __future__ import annotations

import math

import torch
from sensor_msgs.msg import CameraInfo
from torch import Tensor


class CalibrationError(ValueError):
    """A CameraInfo that describes no pinhole camera."""


def intrinsics_from_message(info: CameraInfo) -> Tensor:
    """Pinhole matrix float64 [3, 3] in pixels of the rectified image.

    That is the left part of P; where P is not filled in, K.

    Raises:
        CalibrationError: a focal length is not positive and finite (by the message's
            definition K[0] = 0 means uncalibrated), or another entry is not finite.
    """
    k = [float(value) for value in info.k]
    p = [float(value) for value in info.p]
    used, name = (k, "K") if not any(p) else ([*p[0:3], *p[4:7], *p[8:11]], "P")
    for matrix, label in ((k, "K"), (used, name)):
        fx, fy = matrix[0], matrix[4]
        if not (math.isfinite(fx) and math.isfinite(fy) and fx > 0 and fy > 0):
            raise CalibrationError(
                f"CameraInfo needs positive, finite focal lengths, {label} has fx={fx}, fy={fy}"
            )
    if not all(math.isfinite(value) for value in used):
        raise CalibrationError(f"CameraInfo holds a NaN or infinite number in {name}")
    return torch.tensor(used, dtype=torch.float64).view(3, 3)
