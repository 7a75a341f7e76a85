"""tf2_ros.Buffer's stand-in: the frame tree behind a lock, with lookups that can wait.

Unlike tf2_ros, which polls every 20 ms, a waiting lookup wakes with the transform it waits for.
"""

from __future__ import annotations

import math
import threading
import time as wall_clock
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from geometry_msgs.msg import TransformStamped
from rclpy.clock import JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.logging import get_logger
from rclpy.node import Node

from gfocc_ros.compat.tf2_exceptions import InvalidArgumentException, TransformException
from gfocc_ros.compat.tf2_link import seconds
from gfocc_ros.compat.tf2_rigid import Rigid, compose, normalized
from gfocc_ros.compat.tf2_tree import FrameTree

DEFAULT_CACHE = 10_000_000_000
"""Nanoseconds of history where no cache_time is given."""
UNIT_TOLERANCE = 0.01
"""A quaternion whose squared length is off 1 by more than this is refused."""

_Answer = TypeVar("_Answer")


class _HasNanoseconds(Protocol):
    @property
    def nanoseconds(self) -> int: ...


class Buffer:
    """Transforms of the last seconds, and the static ones; any thread may use it.

    Times are rclpy's Time or its message; Time() (zero) asks for the newest data that all
    links share. `timeout` waits on the wall clock, whatever the node's clock does.
    """

    def __init__(self, cache_time: Duration | None = None, node: Node | None = None) -> None:
        """Keep `cache_time` (default 10 s); with `node`, clear when that node's clock jumps back."""
        self._tree = FrameTree(DEFAULT_CACHE if cache_time is None else _nanoseconds(cache_time))
        self._changed = threading.Condition()
        self._logger = get_logger("tf2_buffer")
        if node is not None:
            threshold = JumpThreshold(
                min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True
            )
            self._jump_handle = node.get_clock().create_jump_callback(
                threshold, post_callback=self._on_time_jump
            )

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """Take one moment of a moving link; a bad or too old one is logged and ignored."""
        self._insert(transform, authority, static=False)

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        """Take a link that holds at all times; a bad one is logged and ignored."""
        self._insert(transform, authority, static=True)

    def clear(self) -> None:
        """Forget every moving link's past; frames and static links stay, as with tf2."""
        with self._changed:
            self._tree.clear()

    def lookup_transform(
        self,
        target_frame: str,
        source_frame: str,
        time: _HasNanoseconds,
        timeout: Duration | None = None,
    ) -> TransformStamped:
        """`target_from_source` at a time, waiting up to `timeout` for it.

        Raises:
            TransformException: what tf2_ros would raise, after `timeout`.
        """
        stamp = _nanoseconds(time)
        found = self._wait(lambda: self._tree.lookup(target_frame, source_frame, stamp), timeout)
        return _message(target_frame, source_frame, *found)

    def lookup_transform_full(
        self,
        target_frame: str,
        target_time: _HasNanoseconds,
        source_frame: str,
        source_time: _HasNanoseconds,
        fixed_frame: str,
        timeout: Duration | None = None,
    ) -> TransformStamped:
        """Source at its time, seen from target at its own time, through a frame that stands still.

        Raises:
            TransformException: what tf2_ros would raise, after `timeout`.
        """
        found = self._wait(
            lambda: self._lookup_full(
                target_frame,
                _nanoseconds(target_time),
                source_frame,
                _nanoseconds(source_time),
                fixed_frame,
            ),
            timeout,
        )
        return _message(target_frame, source_frame, *found)

    def can_transform(
        self,
        target_frame: str,
        source_frame: str,
        time: _HasNanoseconds,
        timeout: Duration | None = None,
        return_debug_tuple: bool = False,
    ) -> bool | tuple[bool, str]:
        """Whether lookup_transform would answer; with `return_debug_tuple` also why not."""
        return self._ask(
            lambda: self.lookup_transform(target_frame, source_frame, time, timeout),
            return_debug_tuple,
        )

    def can_transform_full(
        self,
        target_frame: str,
        target_time: _HasNanoseconds,
        source_frame: str,
        source_time: _HasNanoseconds,
        fixed_frame: str,
        timeout: Duration | None = None,
        return_debug_tuple: bool = False,
    ) -> bool | tuple[bool, str]:
        """Whether lookup_transform_full would answer; with `return_debug_tuple` also why not."""
        return self._ask(
            lambda: self.lookup_transform_full(
                target_frame, target_time, source_frame, source_time, fixed_frame, timeout
            ),
            return_debug_tuple,
        )

    def _insert(self, transform: TransformStamped, authority: str, *, static: bool) -> None:
        parent = transform.header.frame_id.removeprefix("/")
        child = transform.child_frame_id.removeprefix("/")
        stamp = _nanoseconds(transform.header.stamp)
        position, turn = transform.transform.translation, transform.transform.rotation
        pose = (position.x, position.y, position.z, turn.x, turn.y, turn.z, turn.w)
        fault = _fault(parent, child, pose)
        if fault:
            self._logger.error(
                f"ignoring the transform from '{parent}' to '{child}' of '{authority}': {fault}",
                throttle_duration_sec=1.0,
            )
            return
        with self._changed:
            if self._tree.insert(parent, child, stamp, normalized(pose), static=static):
                self._changed.notify_all()
                return
        self._logger.warning(
            f"TF_OLD_DATA: ignoring the transform from '{parent}' to '{child}' of '{authority}' "
            f"at {seconds(stamp)}: newer data of that link made it too old to be kept",
            throttle_duration_sec=1.0,
        )

    def _lookup_full(
        self, target: str, target_stamp: int, source: str, source_stamp: int, fixed: str
    ) -> tuple[int, Rigid]:
        self._tree.check_known(target, source, fixed)
        _, fixed_from_source = self._tree.lookup(fixed, source, source_stamp)
        stamp, target_from_fixed = self._tree.lookup(target, fixed, target_stamp)
        return stamp, compose(target_from_fixed, fixed_from_source)

    def _wait(self, lookup: Callable[[], _Answer], timeout: Duration | None) -> _Answer:
        """First answer of `lookup` that does not raise, or what it raises when time is up."""
        allowed = 0.0 if timeout is None else _nanoseconds(timeout) * 1e-9
        deadline = wall_clock.monotonic() + allowed
        with self._changed:
            while True:
                try:
                    return lookup()
                except InvalidArgumentException:
                    raise
                except TransformException:
                    remaining = deadline - wall_clock.monotonic()
                    if remaining <= 0:
                        raise
                self._changed.wait(remaining)

    @staticmethod
    def _ask(lookup: Callable[[], Any], return_debug_tuple: bool) -> bool | tuple[bool, str]:
        try:
            lookup()
        except TransformException as error:
            return (False, str(error)) if return_debug_tuple else False
        return (True, "") if return_debug_tuple else True

    def _on_time_jump(self, jump: TimeJump) -> None:
        self._logger.warning("the clock jumped: clearing the tf buffer")
        self.clear()


def _fault(parent: str, child: str, pose: Rigid) -> str | None:
    """Why tf2 refuses a transform, or None."""
    if not parent:
        return "frame_id is empty"
    if not child:
        return "child_frame_id is empty"
    if parent == child:
        return "frame_id and child_frame_id are the same"
    if not all(map(math.isfinite, pose)):
        return f"it holds a NaN or infinite number: {pose}"
    if abs(math.fsum(component * component for component in pose[3:]) - 1) > UNIT_TOLERANCE:
        return f"its quaternion {pose[3:]} (x, y, z, w) is not of unit length"
    return None


def _nanoseconds(time: Any) -> int:
    """rclpy's Time or Duration, or the message of either, as integer nanoseconds."""
    if hasattr(time, "sec"):
        return int(time.sec) * 1_000_000_000 + int(time.nanosec)
    return int(time.nanoseconds)


def _message(target: str, source: str, stamp: int, pose: Rigid) -> TransformStamped:
    message = TransformStamped()
    message.header.frame_id, message.child_frame_id = target, source
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 1_000_000_000)
    position, turn = message.transform.translation, message.transform.rotation
    position.x, position.y, position.z, turn.x, turn.y, turn.z, turn.w = pose
    return message
