"""The transforms of a bag as a whole: the vehicle's path, and where its cameras are mounted.

For the exporter of recordings; needs no ROS. A lookup means what it means in tf.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gfocc_core.data.recording_poses import PosePath
from gfocc_ros.bags.command import BagError
from gfocc_ros.bags.decoding import decode
from gfocc_ros.bags.recording import Recording
from gfocc_ros.compat.tf2_exceptions import TransformException
from gfocc_ros.compat.tf2_rigid import Rigid, compose, inverse, normalized
from gfocc_ros.compat.tf2_tree import FrameTree

TF_TOPIC, TF_STATIC_TOPIC = "/tf", "/tf_static"
_TF_TYPE: Final = "tf2_msgs/msg/TFMessage"
_ALL_TIME: Final = 2**62
_SAME_PLACE_M: Final = 1e-3
_SAME_TURN: Final = 1e-3
"""Radians; what a fixed joint that is sent again and again may differ by."""


class RecordedTransforms:
    """Filled with the messages of /tf and /tf_static, then asked."""

    def __init__(self) -> None:
        self._tree = FrameTree(_ALL_TIME)
        self._parents: dict[str, str] = {}
        self._stamps: dict[str, set[int]] = {}
        """Of the links that were not sent as static, by child."""

    def add(self, message: Any, *, static: bool) -> None:
        """Take a tf2_msgs/TFMessage; BagError for a transform that is none."""
        for item in message.transforms:
            parent, child = item.header.frame_id.lstrip("/"), item.child_frame_id.lstrip("/")
            t, r = item.transform.translation, item.transform.rotation
            pose: Rigid = (t.x, t.y, t.z, r.x, r.y, r.z, r.w)
            length = math.hypot(*pose[3:])
            if not all(map(math.isfinite, pose)) or not 0.99 < length < 1.01 or parent == child:
                raise BagError(f"the transform from '{parent}' to '{child}' is none: {pose}")
            stamp_ns = item.header.stamp.sec * 1_000_000_000 + item.header.stamp.nanosec
            self._tree.insert(parent, child, stamp_ns, normalized(pose), static=static)
            self._parents[child] = parent
            if not static:
                self._stamps.setdefault(child, set()).add(stamp_ns)

    def path(self, fixed: str, base: str) -> PosePath:
        """The vehicle's poses at every stamp at which a link between both frames was sent.

        Raises:
            BagError: the frames are not connected, or nothing moves between them.
        """
        stamps = self._moving_stamps(base, fixed)
        if not stamps:
            self._lookup(fixed, base, 0)
            raise BagError(
                f"between '{fixed}' and '{base}' nothing is sent on /tf: a moving vehicle's odometry "
                "is needed"
            )
        found: list[tuple[int, Rigid]] = []
        problem = ""
        for stamp_ns in sorted(stamps):
            try:
                found.append((stamp_ns, self._tree.lookup(fixed, base, stamp_ns)[1]))
            except TransformException as error:  # before the chain's last link began, say
                problem = str(error)
        if not found:
            raise BagError(f"the bag has no pose of '{base}' in '{fixed}': {problem}")
        poses = np.array([pose for _, pose in found], np.float64)[:, [0, 1, 2, 6, 3, 4, 5]]
        return PosePath(np.array([stamp for stamp, _ in found], np.int64), poses)

    def mount(self, base: str, frame: str) -> npt.NDArray[np.float64]:
        """base_from_frame [7], translation and quaternion wxyz, of a frame that is bolted on.

        Raises:
            BagError: the frames are not connected, or move against each other.
        """
        pose = self._lookup(base, frame, 0)
        for stamp_ns in sorted(self._moving_stamps(frame, base)):
            try:
                other = self._tree.lookup(base, frame, stamp_ns)[1]
            except TransformException:
                continue
            x, y, z, i, j, k, w = compose(inverse(pose), other)
            turn = 2 * math.atan2(math.hypot(i, j, k), abs(w))
            if math.hypot(x, y, z) > _SAME_PLACE_M or turn > _SAME_TURN:
                raise BagError(
                    f"'{frame}' moves against '{base}': a recording needs cameras that are fixed to "
                    "the vehicle"
                )
        return np.array(pose, np.float64)[[0, 1, 2, 6, 3, 4, 5]]

    def _lookup(self, target: str, source: str, stamp_ns: int) -> Rigid:
        try:
            return self._tree.lookup(target, source, stamp_ns)[1]
        except TransformException as error:
            raise BagError(f"the bag's transforms do not join the frames: {error}") from error

    def _moving_stamps(self, one: str, other: str) -> set[int]:
        """Stamps of the links between two frames that are not static."""
        chains = [self._ancestors(frame) for frame in (one, other)]
        shared = set(chains[0]) & set(chains[1])
        children = [frame for chain in chains for frame in chain if frame not in shared]
        return set().union(*(self._stamps.get(child, set()) for child in children))

    def _ancestors(self, frame: str) -> list[str]:
        """The frame itself, its parent, and so on."""
        chain = [frame]
        while (parent := self._parents.get(chain[-1])) is not None and parent not in chain:
            chain.append(parent)
        return chain


def read_transforms(recording: Recording) -> RecordedTransforms:
    """All of a bag; BagError where a topic is missing or a transform is none."""
    wanted = [
        topic
        for topic in recording.topics()
        if topic.name in (TF_TOPIC, TF_STATIC_TOPIC) and topic.type_name == _TF_TYPE
    ]
    missing = {TF_TOPIC, TF_STATIC_TOPIC} - {topic.name for topic in wanted}
    if missing:
        raise BagError(f"bag '{recording.path}' lacks {' and '.join(sorted(missing))}")
    transforms = RecordedTransforms()
    for message in recording.messages(wanted):
        transforms.add(decode(message, _TF_TYPE), static=message.topic == TF_STATIC_TOPIC)
    return transforms
