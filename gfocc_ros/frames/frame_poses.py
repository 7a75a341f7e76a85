"""The poses of one frame, checked, and how long asking for them took.

Used by the frame builder: it stands between it and tf.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
from torch import Tensor

from gfocc_ros.tf.transforms import PoseUnavailable


class Poses(Protocol):
    """Where poses [4, 4] float64 come from; both calls may wait and raise PoseUnavailable."""

    def global_from_ego(self, stamp_ns: int) -> Tensor: ...

    def ego_from_cam(
        self, camera_frame: str, camera_stamp_ns: int, ego_stamp_ns: int
    ) -> Tensor: ...


class FramePoses:
    """Asks `poses` for one frame, the vehicle first.

    Raises:
        PoseUnavailable: by each method, also for a pose that is not finite.
    """

    def __init__(self, poses: Poses, stamp_ns: int) -> None:
        self._poses, self._stamp_ns = poses, stamp_ns
        self.wait_s = 0.0
        """Time spent in asking so far, waiting included."""

    def global_from_ego(self) -> Tensor:
        """The vehicle's pose at the frame's stamp."""
        return self._ask("the vehicle", lambda: self._poses.global_from_ego(self._stamp_ns))

    def ego_from_cam(self, camera_frame: str, camera_stamp_ns: int) -> Tensor:
        """A camera's pose at its own stamp, in the vehicle's frame at the frame's stamp."""
        if not camera_frame:
            raise PoseUnavailable("neither the image nor its CameraInfo names its frame_id")
        return self._ask(
            f"'{camera_frame}'",
            lambda: self._poses.ego_from_cam(camera_frame, camera_stamp_ns, self._stamp_ns),
        )

    def _ask(self, whose: str, question: Callable[[], Tensor]) -> Tensor:
        began = time.monotonic()
        try:
            pose = question()
        finally:
            self.wait_s += time.monotonic() - began
        if not np.isfinite(pose.numpy()).all():
            raise PoseUnavailable(f"tf of {whose} is not finite")
        return pose
