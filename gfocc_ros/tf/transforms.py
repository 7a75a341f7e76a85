"""Poses of the vehicle and its cameras from tf, for one frame at a time.

Waiting happens in the caller's thread. Ask for the vehicle first: that question starts the time
that a frame may wait for all its poses.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time
from torch import Tensor

from gfocc_ros.compat import tf
from gfocc_ros.tf.tf_buffer import RewindableBuffer
from gfocc_ros.tf.tf_listener import TfListener


class PoseUnavailable(Exception):  # noqa: N818 (a state of the outside world, not a fault)
    """tf gave no pose in time; the message names the frames and the link that is missing."""


class TransformPoses:
    """The node's tf buffer and listener, asked in gfocc's terms."""

    def __init__(self, node: Node, *, fixed_frame: str, base_frame: str, timeout_s: float) -> None:
        """Listen on a hidden node beside `node`, from a thread of its own, until `close`.

        Args:
            fixed_frame: frame in which the world stands still (REP-105: odom).
            base_frame: the vehicle's frame (REP-103: base_link).
            timeout_s: longest wait for all poses of one frame, in seconds of wall time.
        """
        self._fixed = _name(fixed_frame)
        self._base = _name(base_frame)
        self._timeout_s = timeout_s
        # Not given the node: a buffer that clears itself when /clock jumps may do so after the
        # first transforms of the new time, and in some releases of Jazzy it crashes there.
        self._buffer = RewindableBuffer()
        self._listener = TfListener(self._buffer, node)
        self._mounts: dict[str, _Mount] = {}
        self._frame_ns, self._deadline_s = 0, 0.0

    def global_from_ego(self, stamp_ns: int) -> Tensor:
        """Pose [4, 4] float64 (m) of the base frame in the fixed frame at a time in ns.

        Raises:
            PoseUnavailable: not known within the timeout.
        """
        at = _time("the ego pose", stamp_ns)
        self._start_frame(stamp_ns)
        return self._ask(
            f"pose of '{self._base}' in '{self._fixed}' at {_seconds(stamp_ns)}",
            lambda: self._buffer.lookup_transform(
                self._fixed, self._base, at, timeout=self._patience()
            ),
            [Link(self._fixed, self._base, stamp_ns)],
        )

    def ego_from_cam(self, camera_frame: str, camera_stamp_ns: int, ego_stamp_ns: int) -> Tensor:
        """Camera's pose [4, 4] float64 (m) at its own stamp, in the base frame at another stamp.

        The vehicle moves between both stamps (ns); the way leads through the fixed frame. Waits
        for what is left of the timeout since the vehicle's pose at `ego_stamp_ns` was asked for.

        Raises:
            PoseUnavailable: not known within the timeout.
        """
        camera = _name(camera_frame)
        camera_at = _time(f"camera frame '{camera}'", camera_stamp_ns)
        ego_at = _time("the ego pose", ego_stamp_ns)
        if ego_stamp_ns != self._frame_ns:
            self._start_frame(ego_stamp_ns)
        mount = self._static_mount(camera)
        if mount is not None and camera_stamp_ns == ego_stamp_ns:
            return mount
        seen = camera if mount is None else self._base
        pose = self._ask(
            f"pose of '{camera}' at {_seconds(camera_stamp_ns)} "
            f"in '{self._base}' at {_seconds(ego_stamp_ns)} through '{self._fixed}'",
            lambda: self._buffer.lookup_transform_full(
                self._base, ego_at, seen, camera_at, self._fixed, timeout=self._patience()
            ),
            [
                Link(self._base, camera, camera_stamp_ns),
                Link(self._fixed, self._base, ego_stamp_ns),
                Link(self._fixed, self._base, camera_stamp_ns),
            ],
        )
        return pose if mount is None else pose @ mount

    def clear(self) -> None:
        """Forget the past after a jump back in time; what came since that jump stays."""
        self._buffer.clear()

    def close(self) -> None:
        """Stop listening, so that the node can be configured anew."""
        self._listener.close()

    def _start_frame(self, stamp_ns: int) -> None:
        self._frame_ns, self._deadline_s = stamp_ns, time.monotonic() + self._timeout_s

    def _patience(self) -> Duration:
        """How long the frame that is asked for may still wait."""
        return Duration(seconds=max(0.0, self._deadline_s - time.monotonic()))

    def _static_mount(self, camera: str) -> Tensor | None:
        """The camera's pose [4, 4] in the base frame if no link between them moves, else None."""
        version = self._buffer.static_version
        known = self._mounts.get(camera)
        if known is None or known.version != version:
            try:
                latest = self._buffer.lookup_transform(self._base, camera, Time())
            except tf.TransformException:
                return None
            # tf gives the newest time at which all links are known: 0 where each holds always.
            is_static = latest.header.stamp.sec == 0 and latest.header.stamp.nanosec == 0
            known = _Mount(version, _matrix(latest) if is_static else None)
            self._mounts[camera] = known
        return known.base_from_camera

    def _ask(self, what: str, lookup: Callable[[], TransformStamped], links: list[Link]) -> Tensor:
        try:
            found = _matrix(lookup())
        except tf.TransformException as error:
            raise PoseUnavailable(
                f"no {what} within {self._timeout_s:.3g} s: {self._missing(links) or error}"
            ) from error
        for link in links:
            outage = self._buffer.outage(link.parent, link.child, link.stamp_ns)
            if outage:
                raise PoseUnavailable(f"no {what}: {outage} then")
        return found

    def _missing(self, links: list[Link]) -> str:
        """The first link that tf does not have, and tf's reason."""
        for link in links:
            try:
                self._buffer.lookup_transform(
                    link.parent, link.child, Time(nanoseconds=link.stamp_ns)
                )
            except tf.TransformException as error:
                return (
                    f"'{link.parent}' <- '{link.child}' at {_seconds(link.stamp_ns)} "
                    f"is missing ({error})"
                )
        return ""


@dataclass(frozen=True)
class Link:
    """One step of a way through the tf tree, at a time."""

    parent: str
    child: str
    stamp_ns: int


@dataclass(frozen=True)
class _Mount:
    """Where a camera sits on the vehicle, as of a version of the static transforms."""

    version: int
    base_from_camera: Tensor | None
    """None: a link between them moves."""


def _matrix(transform: TransformStamped) -> Tensor:
    """[4, 4] float64; in plain numbers, since torch takes 0.3 ms for so few."""
    position, turn = transform.transform.translation, transform.transform.rotation
    length = math.hypot(turn.x, turn.y, turn.z, turn.w) or math.nan
    x, y, z, w = turn.x / length, turn.y / length, turn.z / length, turn.w / length
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y), position.x),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x), position.y),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y), position.z),
        (0.0, 0.0, 0.0, 1.0),
    )
    return torch.tensor(rows, dtype=torch.float64)


def _name(frame: str) -> str:
    """A frame's name as tf2 wants it: messages from ROS 1 times begin with a slash."""
    return frame.removeprefix("/")


def _time(whose: str, stamp_ns: int) -> Time:
    if stamp_ns <= 0:
        # tf would take 0 for "the newest", and answer with a pose of another moment.
        raise PoseUnavailable(f"{whose} is asked for at stamp {stamp_ns} ns: it was never stamped")
    return Time(nanoseconds=stamp_ns)


def _seconds(stamp_ns: int) -> str:
    return f"{stamp_ns // 1_000_000_000}.{stamp_ns % 1_000_000_000:09d} s"
