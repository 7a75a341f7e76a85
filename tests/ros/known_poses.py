"""A stand-in for tf with poses that tests know."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gfocc_ros.tf.transforms import PoseUnavailable


def pose(x: float) -> Tensor:
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[0, 3] = x
    return matrix


@dataclass
class KnownPoses:
    """Poses by camera frame, as tf would give them; remembers what it was asked."""

    missing: set[str] = field(default_factory=set)
    nan: set[str] = field(default_factory=set)
    ego_x: float = 100.0
    delay_s: float = 0.0
    asked: list[tuple[str, int, int]] = field(default_factory=list)

    def global_from_ego(self, stamp_ns: int) -> Tensor:
        if "odom" in self.missing:
            time.sleep(self.delay_s)
            raise PoseUnavailable("no pose of 'base_link' in 'odom'")
        time.sleep(self.delay_s)
        return pose(math.nan if "odom" in self.nan else self.ego_x)

    def ego_from_cam(self, camera_frame: str, camera_stamp_ns: int, ego_stamp_ns: int) -> Tensor:
        self.asked.append((camera_frame, camera_stamp_ns, ego_stamp_ns))
        if camera_frame in self.missing:
            raise PoseUnavailable(f"no pose of '{camera_frame}'")
        time.sleep(self.delay_s)
        return pose(math.nan if camera_frame in self.nan else float(len(camera_frame)))
