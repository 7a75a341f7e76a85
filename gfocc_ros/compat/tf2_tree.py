"""All links together: which motion joins two frames at a time. Knows no ROS, no threads.

`lookup(target, source, stamp)` is `target_from_source`: it maps points of source into target.
"""

from __future__ import annotations

from collections.abc import Container

from gfocc_ros.compat.tf2_exceptions import (
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
)
from gfocc_ros.compat.tf2_link import Link, MovingLink, OutOfSpanError, StaticLink
from gfocc_ros.compat.tf2_rigid import IDENTITY, Rigid, compose, inverse


class FrameTree:
    """Frames and the links between them. Its owner must lock it against other threads."""

    def __init__(self, cache: int) -> None:
        """Keep `cache` nanoseconds of every moving link."""
        self._cache = cache
        self._links: dict[str, Link] = {}
        self._frames: set[str] = set()

    def insert(
        self, parent: str, child: str, stamp: int, pose: Rigid, *, static: bool = False
    ) -> bool:
        """Add `parent_from_child` at a time; False where it is older than what is kept."""
        link = self._links.get(child)
        if link is None or isinstance(link, StaticLink) != static:
            link = self._links[child] = StaticLink() if static else MovingLink(self._cache)
        self._frames.update((parent, child))
        return link.insert(stamp, parent, pose)

    def clear(self) -> None:
        """Forget the past of every moving link; frames and static links stay."""
        for link in self._links.values():
            link.clear()

    def lookup(self, target: str, source: str, stamp: int) -> tuple[int, Rigid]:
        """`target_from_source` at a time (0: the newest that all links share), and that time.

        Raises:
            InvalidArgumentException, LookupException, ConnectivityException,
            ExtrapolationException: each names both frames, and what is missing.
        """
        if target == source:
            newest = self._links[target].newest() if stamp == 0 and target in self._links else None
            return (newest[0] if newest else stamp), IDENTITY
        self.check_known(target, source)
        stamp = stamp or self._newest_common_time(target, source)

        upward, failure = self._climb(source, stamp, stop_at={target})
        if target in upward:
            return stamp, upward[target]
        meeting, downward_failure = self._climb(target, stamp, stop_at=upward.keys())
        top = next(reversed(meeting))
        if top in upward:
            return stamp, compose(inverse(meeting[top]), upward[top])
        failure = failure or downward_failure
        if failure:
            raise ExtrapolationException(
                f"no transform from '{source}' to '{target}': link {failure}"
            )
        raise self._not_joined(target, source)

    def check_known(self, *frames: str) -> None:
        """Raise InvalidArgumentException or LookupException for the first frame that is neither."""
        for frame in frames:
            if not frame or frame.startswith("/"):
                raise InvalidArgumentException(
                    f"frame name '{frame}' is invalid: tf names are not empty "
                    "and do not begin with a slash"
                )
        for frame in frames:
            if frame not in self._frames:
                names = " and ".join(f"'{name}'" for name in dict.fromkeys(frames))
                raise LookupException(f"frame '{frame}' does not exist, looking up {names}")

    def _climb(
        self, frame: str, stamp: int, stop_at: Container[str]
    ) -> tuple[dict[str, Rigid], str]:
        """`ancestor_from_frame` of every ancestor up to the first in `stop_at`, nearest first.

        The second value says which link has no data at that time, if that ended the climb.
        """
        poses = {frame: IDENTITY}
        below, here = IDENTITY, frame
        while here not in stop_at and here in self._links:
            try:
                parent, pose = self._links[here].at(stamp)
            except OutOfSpanError as error:
                newest = self._links[here].newest()
                above = f"'{newest[1]}' -> " if newest else ""
                return poses, f"{above}'{here}': {error}"
            if parent in poses:
                raise LookupException(f"the frames form a loop through '{parent}' and '{here}'")
            below = poses[parent] = compose(pose, below)
            here = parent
        return poses, ""

    def _newest_common_time(self, target: str, source: str) -> int:
        """Newest time at which every moving link between two frames has data; 0 if none moves."""
        upward = self._newest_times(source)
        downward = self._newest_times(target)
        for meeting in upward:
            if meeting in downward:
                times = [stamp for stamp in (upward[meeting], downward[meeting]) if stamp]
                return min(times, default=0)
        raise self._not_joined(target, source)

    def _newest_times(self, frame: str) -> dict[str, int]:
        """For every ancestor, nearest first: newest time that all links up to it share."""
        common = 0
        times = {frame: common}
        while frame in self._links:
            newest = self._links[frame].newest()
            if newest is None:
                break
            stamp, frame = newest
            if frame in times:
                raise LookupException(f"the frames form a loop through '{frame}'")
            common = min(common, stamp) if common and stamp else common or stamp
            times[frame] = common
        return times

    def _not_joined(self, target: str, source: str) -> ConnectivityException:
        roots = [next(reversed(self._newest_times(frame))) for frame in (target, source)]
        return ConnectivityException(
            f"'{target}' and '{source}' are not connected: "
            f"the tree of '{target}' ends at '{roots[0]}', that of '{source}' at '{roots[1]}'"
        )
