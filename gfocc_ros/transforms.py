"""Poses of the vehicle and its cameras from tf, for one frame at a time.

Waiting happens in the caller's thread, which must not be the one that spins the node. Ask for
the vehicle first: where its pose never comes, every camera would only wait in vain again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time
from torch import Tensor

from gfocc_core.geometry import transform_from
from gfocc_ros.compat import tf

JUMP_NS = 1_000_000_000
"""A link whose stamps step back by more than this has jumped: those are no swapped messages."""
JUMP_MEMORY_S = 2.0
"""Seconds of wall time for which the camera messages may lag behind a jump of the transforms."""


class PoseUnavailable(Exception):  # noqa: N818 (a state of the outside world, not a fault)
    """tf gave no pose in time; the message names the frames and the link that is missing."""


class TransformPoses:
    """The node's tf buffer and listener, asked in gfocc's terms."""

    def __init__(self, node: Node, *, fixed_frame: str, base_frame: str, timeout_s: float) -> None:
        """Listen on `node`, which an executor must spin.

        Args:
            fixed_frame: frame in which the world stands still (REP-105: odom).
            base_frame: the vehicle's frame (REP-103: base_link).
            timeout_s: longest wait of one question, in seconds of wall time.
        """
        self._fixed = _name(fixed_frame)
        self._base = _name(base_frame)
        self._timeout = Duration(seconds=timeout_s)
        # Not given the node: a buffer that clears itself when /clock jumps may do so after the
        # first transforms of the new time, and in some releases of Jazzy it crashes there.
        self._buffer = RewindableBuffer()
        self._listener = tf.TransformListener(self._buffer, node, spin_thread=False)

    def global_from_ego(self, stamp_ns: int) -> Tensor:
        """Pose [4, 4] float64 (m) of the base frame in the fixed frame at a time in ns.

        Raises:
            PoseUnavailable: not known within the timeout.
        """
        at = _time("the ego pose", stamp_ns)
        return self._ask(
            f"pose of '{self._base}' in '{self._fixed}' at {_seconds(stamp_ns)}",
            lambda: self._buffer.lookup_transform(
                self._fixed, self._base, at, timeout=self._timeout
            ),
            [Link(self._fixed, self._base, stamp_ns)],
        )

    def ego_from_cam(self, camera_frame: str, camera_stamp_ns: int, ego_stamp_ns: int) -> Tensor:
        """Camera's pose [4, 4] float64 (m) at its own stamp, in the base frame at another stamp.

        The vehicle moves between both stamps (ns); the way leads through the fixed frame.

        Raises:
            PoseUnavailable: not known within the timeout.
        """
        camera = _name(camera_frame)
        camera_at = _time(f"camera frame '{camera}'", camera_stamp_ns)
        ego_at = _time("the ego pose", ego_stamp_ns)
        return self._ask(
            f"pose of '{camera}' at {_seconds(camera_stamp_ns)} "
            f"in '{self._base}' at {_seconds(ego_stamp_ns)} through '{self._fixed}'",
            lambda: self._buffer.lookup_transform_full(
                self._base, ego_at, camera, camera_at, self._fixed, timeout=self._timeout
            ),
            [
                Link(self._base, camera, camera_stamp_ns),
                Link(self._fixed, self._base, ego_stamp_ns),
                Link(self._fixed, self._base, camera_stamp_ns),
            ],
        )

    def clear(self) -> None:
        """Forget the past after a jump back in time; what came since that jump stays."""
        self._buffer.clear()

    def close(self) -> None:
        """Stop listening, so that the node can be configured anew."""
        self._listener.unregister()

    def _ask(self, what: str, lookup: Callable[[], TransformStamped], links: list[Link]) -> Tensor:
        try:
            return _matrix(lookup())
        except tf.TransformException as error:
            waited = self._timeout.nanoseconds * 1e-9
            raise PoseUnavailable(
                f"no {what} within {waited:.3g} s: {self._missing(links) or error}"
            ) from error

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


@dataclass
class _SinceJump:
    """What one link sent after its stamps stepped back."""

    began: float = field(default_factory=time.monotonic)
    transforms: list[tuple[TransformStamped, str]] = field(default_factory=list)


class RewindableBuffer(tf.Buffer):
    """A tf buffer under which a bag may start again.

    tf refuses transforms much older than the newest it has, and mixes those that are a little
    older with the old run's. This one forgets the old run as soon as a link's stamps jump back.
    Who clears it on another sign (camera stamps, /clock) may come before or after the first
    transforms of the new run, so what a link sent since its stamps stepped back survives.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.RLock()
        self._last_stamp: dict[str, int] = {}
        self._since_jump: dict[str, _SinceJump] = {}

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """Take one moment of a moving link."""
        child = transform.child_frame_id
        stamp = Time.from_msg(transform.header.stamp).nanoseconds
        with self._lock:
            back = self._last_stamp.get(child, stamp) - stamp
            self._last_stamp[child] = stamp
            if back > 0:
                self._since_jump[child] = _SinceJump()
            self._forget_old_jumps()
            if child in self._since_jump:
                self._since_jump[child].transforms.append((transform, authority))
            if back > JUMP_NS:
                self.clear()
            else:
                super().set_transform(transform, authority)

    def clear(self) -> None:
        """Forget the past of moving links, but for what they sent since a jump just now."""
        with self._lock:
            super().clear()
            self._forget_old_jumps()
            for since in self._since_jump.values():
                for transform, authority in since.transforms:
                    super().set_transform(transform, authority)

    def _forget_old_jumps(self) -> None:
        oldest = time.monotonic() - JUMP_MEMORY_S
        for child in [c for c, since in self._since_jump.items() if since.began < oldest]:
            del self._since_jump[child]


def _matrix(transform: TransformStamped) -> Tensor:
    position, turn = transform.transform.translation, transform.transform.rotation
    return transform_from(
        torch.tensor([position.x, position.y, position.z], dtype=torch.float64),
        torch.tensor([turn.w, turn.x, turn.y, turn.z], dtype=torch.float64),
    )


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
