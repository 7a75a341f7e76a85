"""Where one child frame has been in its parent: the history of a single tf link.

Times are integer nanoseconds; 0 asks for the newest, as everywhere in tf.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Protocol

from gfocc_ros.compat.tf2_rigid import Rigid, interpolate


class OutOfSpanError(Exception):
    """The link has no data around the requested time; the message says what it has."""


class Link(Protocol):
    """What the frame tree asks of a link."""

    def insert(self, stamp: int, parent: str, pose: Rigid) -> bool:
        """Add `parent_from_child` at a time; False where it is too old to be kept."""

    def at(self, stamp: int) -> tuple[str, Rigid]:
        """Parent and `parent_from_child` at a time, or OutOfSpanError."""

    def newest(self) -> tuple[int, str] | None:
        """Newest time (0: valid at all times) and the parent then; None where nothing is known."""

    def clear(self) -> None:
        """Forget what may change with time."""


class StaticLink:
    """A link that never moves: the last pose that was given holds at all times."""

    def __init__(self) -> None:
        self._pose: tuple[str, Rigid] | None = None

    def insert(self, stamp: int, parent: str, pose: Rigid) -> bool:
        self._pose = (parent, pose)
        return True

    def at(self, stamp: int) -> tuple[str, Rigid]:
        if self._pose is None:
            raise OutOfSpanError("nothing has been received")
        return self._pose

    def newest(self) -> tuple[int, str] | None:
        return None if self._pose is None else (0, self._pose[0])

    def clear(self) -> None:
        """Keeps the pose, as tf2 does: a latched /tf_static is not sent a second time."""


class MovingLink:
    """A link with poses in order of time, none older than the newest by more than `cache` ns."""

    def __init__(self, cache: int) -> None:
        self._cache = cache
        self._stamps: list[int] = []
        self._poses: list[tuple[str, Rigid]] = []

    def insert(self, stamp: int, parent: str, pose: Rigid) -> bool:
        stamps, poses = self._stamps, self._poses
        if stamps and stamp < stamps[-1] - self._cache:
            return False
        index = bisect_right(stamps, stamp)
        if index and stamps[index - 1] == stamp:
            # Sent again, in a looped bag say: the newer word counts, and nothing piles up.
            poses[index - 1] = (parent, pose)
            return True
        stamps.insert(index, stamp)
        poses.insert(index, (parent, pose))
        stale = bisect_left(stamps, stamps[-1] - self._cache)
        del stamps[:stale], poses[:stale]
        return True

    def at(self, stamp: int) -> tuple[str, Rigid]:
        stamps, poses = self._stamps, self._poses
        if not stamps:
            raise OutOfSpanError("nothing has been received since its history was cleared")
        if stamp == 0:
            return poses[-1]
        if not stamps[0] <= stamp <= stamps[-1]:
            raise OutOfSpanError(self._miss(stamp))
        index = bisect_right(stamps, stamp) - 1
        parent, pose = poses[index]
        if stamps[index] == stamp or poses[index + 1][0] != parent:
            return parent, pose
        ratio = (stamp - stamps[index]) / (stamps[index + 1] - stamps[index])
        return parent, interpolate(pose, poses[index + 1][1], ratio)

    def newest(self) -> tuple[int, str] | None:
        return (self._stamps[-1], self._poses[-1][0]) if self._stamps else None

    def clear(self) -> None:
        self._stamps.clear()
        self._poses.clear()

    def _miss(self, stamp: int) -> str:
        first, last = self._stamps[0], self._stamps[-1]
        if first == last:
            return f"{seconds(stamp)} was requested, but the only data is at {seconds(last)}"
        side = "future" if stamp > last else "past"
        return (
            f"{seconds(stamp)} was requested, which lies in the {side} of the data, "
            f"which spans {seconds(first)} to {seconds(last)}"
        )


def seconds(stamp: int) -> str:
    """A time in nanoseconds as exact seconds for a message."""
    return f"{stamp // 1_000_000_000}.{stamp % 1_000_000_000:09d} s"
