"""Where the vehicle of a scene was: its poses as `/tf` and as nav_msgs/Odometry.

Frames: map -> odom -> base_link. nuScenes' global frame is `map`; `odom` stands where the vehicle
was at the scene's first reading. Each stamp at which a sensor fired gives one pose, those of
sensors that are left out of a bag too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from gfocc_core.data.sensors import Record, global_from_ego, stamp_ns_of
from gfocc_core.geometry import invert_transform
from gfocc_ros.bags.messages import tf_message, transform
from gfocc_ros.bags.odometry import odometry, twists_along
from gfocc_ros.bags.sensors import TimedMessage

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

MAP_FRAME: Final = "map"
ODOM_FRAME: Final = "odom"
BASE_FRAME: Final = "base_link"

TF_TOPIC: Final = "/tf"
ODOMETRY_TOPIC: Final = "/odom"


class EgoPath:
    """The poses of a scene, one per stamp, oldest first.

    Raises:
        DatasetError: a reading's ego pose is missing or damaged.
    """

    def __init__(self, nusc: NuScenes, readings: Sequence[Record]) -> None:
        """readings: all those of the scene, oldest first, at least one."""
        first_of_stamp: dict[int, Record] = {}
        for reading in readings:
            first_of_stamp.setdefault(stamp_ns_of(reading), reading)
        self.stamps_ns = tuple(first_of_stamp)
        map_from_base = [global_from_ego(nusc, reading) for reading in first_of_stamp.values()]
        self._map_from_odom = map_from_base[0]
        self._odom_from_base = invert_transform(self._map_from_odom) @ torch.stack(map_from_base)

    def transforms(self) -> Iterator[TimedMessage]:
        """`/tf`: at every stamp the whole chain, so that a reader may start anywhere."""
        for stamp_ns, odom_from_base in zip(self.stamps_ns, self._odom_from_base, strict=True):
            chain = [
                transform(stamp_ns, MAP_FRAME, ODOM_FRAME, self._map_from_odom),
                transform(stamp_ns, ODOM_FRAME, BASE_FRAME, odom_from_base),
            ]
            yield TimedMessage(stamp_ns, TF_TOPIC, tf_message(chain))

    def odometry(self) -> Iterator[TimedMessage]:
        """Pose in odom and velocity in base_link at every stamp; none where there is one pose."""
        if len(self.stamps_ns) < 2:
            return
        twists = twists_along(np.array(self.stamps_ns), self._odom_from_base.numpy())
        for stamp_ns, pose, twist in zip(self.stamps_ns, self._odom_from_base, twists, strict=True):
            message = odometry(stamp_ns, ODOM_FRAME, BASE_FRAME, pose, twist)
            yield TimedMessage(stamp_ns, ODOMETRY_TOPIC, message)
