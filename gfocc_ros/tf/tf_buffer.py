"""A tf buffer that tells more than tf does: jumps back, outages, and changes of what is static.

Filled by the transform listener, asked by gfocc_ros.tf.transforms.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from geometry_msgs.msg import TransformStamped
from rclpy.time import Time

from gfocc_ros.compat import tf

JUMP_NS = 1_000_000_000
"""A link whose stamps step back by more than this has jumped: those are no swapped messages."""
JUMP_MEMORY_S = 2.0
"""Seconds of wall time for which the camera messages may lag behind a jump of the transforms."""
OUTAGE_NS = 1_000_000_000
"""A link that is silent for longer was gone: tf's straight line across is not where it was."""
REMEMBERED_OUTAGES = 8


@dataclass
class _SinceJump:
    """What one link sent after its stamps stepped back."""

    began: float = field(default_factory=time.monotonic)
    transforms: list[tuple[TransformStamped, str]] = field(default_factory=list)


@dataclass
class _Moving:
    """A moving link's last stamp, and the spans (ns) in which it was silent for too long."""

    last_ns: int
    outages: list[tuple[int, int]] = field(default_factory=list)

    def note(self, stamp_ns: int) -> int:
        """Take a stamp; returns by how much it lies before the last one."""
        if stamp_ns - self.last_ns > OUTAGE_NS:
            self.outages = [*self.outages, (self.last_ns, stamp_ns)][-REMEMBERED_OUTAGES:]
        back = self.last_ns - stamp_ns
        self.last_ns = stamp_ns
        return back


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
        self._parents: dict[str, str] = {}
        self._moving: dict[str, _Moving] = {}
        self._since_jump: dict[str, _SinceJump] = {}
        self._static_version = 0

    @property
    def static_version(self) -> int:
        """Rises whenever what was static may have changed."""
        return self._static_version

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """Take one moment of a moving link."""
        child = transform.child_frame_id.removeprefix("/")
        stamp = Time.from_msg(transform.header.stamp).nanoseconds
        with self._lock:
            self._parents[child] = transform.header.frame_id.removeprefix("/")
            if child not in self._moving:
                self._moving[child] = _Moving(stamp)
                self._static_version += 1
            back = self._moving[child].note(stamp)
            if back > 0:
                self._since_jump[child] = _SinceJump()
            self._forget_old_jumps()
            if child in self._since_jump:
                self._since_jump[child].transforms.append((transform, authority))
            if back > JUMP_NS:
                self.clear()
            else:
                super().set_transform(transform, authority)

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        """Take a link that holds at all times, until it is sent again."""
        with self._lock:
            child = transform.child_frame_id.removeprefix("/")
            self._parents[child] = transform.header.frame_id.removeprefix("/")
            super().set_transform_static(transform, authority)
            self._static_version += 1

    def clear(self) -> None:
        """Forget the past of moving links, but for what they sent since a jump just now."""
        with self._lock:
            super().clear()
            for moving in self._moving.values():
                moving.outages.clear()
            self._forget_old_jumps()
            for since in self._since_jump.values():
                for transform, authority in since.transforms:
                    super().set_transform(transform, authority)

    def outage(self, target: str, source: str, stamp_ns: int) -> str:
        """Which link between two frames was silent for too long around a time; empty: none."""
        with self._lock:
            for child in self._links_between(target, source):
                moving = self._moving.get(child)
                for began, ended in moving.outages if moving else ():
                    if began < stamp_ns < ended:
                        silent = (ended - began) * 1e-9
                        return (
                            f"'{self._parents[child]}' -> '{child}' was silent for {silent:.3g} s"
                        )
        return ""

    def _links_between(self, target: str, source: str) -> set[str]:
        """Child frames of the links that join two frames."""
        return self._links_above(target) ^ self._links_above(source)

    def _links_above(self, frame: str) -> set[str]:
        links: set[str] = set()
        while frame in self._parents and frame not in links:
            links.add(frame)
            frame = self._parents[frame]
        return links

    def _forget_old_jumps(self) -> None:
        oldest = time.monotonic() - JUMP_MEMORY_S
        for child in [c for c, since in self._since_jump.items() if since.began < oldest]:
            del self._since_jump[child]
