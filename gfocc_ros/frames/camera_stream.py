"""The images of one camera that wait for a frame: ordered, bounded, each used once.

Used by the frame assembler only; knows no ROS.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from dataclasses import dataclass
from statistics import median_low
from typing import Generic, TypeVar

T = TypeVar("T")

REMEMBERED_STAMPS = 16
"""Duplicates are recognised among this many stamps."""
REMEMBERED_INTERVALS = 4
"""The camera's rhythm is read off this many last intervals (dropped images lengthen some)."""


@dataclass(frozen=True)
class StampedImage(Generic[T]):
    """One camera's image as it arrived, not decoded."""

    stamp_ns: int
    arrival_s: float
    """Monotonic clock, seconds."""
    message: T


class CameraStream(Generic[T]):
    """What is known about one camera's images since time last jumped."""

    def __init__(self, queue_size: int) -> None:
        self._queue_size = queue_size
        self._last_arrival_s: float | None = None
        self._images: list[StampedImage[T]] = []
        self._newest: StampedImage[T] | None = None
        self._stamps: deque[int] = deque(maxlen=REMEMBERED_STAMPS)
        self._intervals: deque[int] = deque(maxlen=REMEMBERED_INTERVALS)

    def __len__(self) -> int:
        return len(self._images)

    def clear(self) -> int:
        """Forget stamps and images, as after a jump of time; returns how many images waited."""
        waiting = len(self._images)
        self._images.clear()
        self._newest = None
        self._stamps.clear()
        self._intervals.clear()
        return waiting

    @property
    def last_arrival_s(self) -> float | None:
        """When any image of this camera last arrived."""
        return self._last_arrival_s

    @property
    def period_ns(self) -> int | None:
        """The usual distance of two images in ns; None: not known yet."""
        return median_low(self._intervals) if self._intervals else None

    def note_arrival(self, arrival_s: float) -> None:
        self._last_arrival_s = arrival_s

    def restarts_with(self, image: StampedImage[T], jump_s: float) -> bool:
        """Whether an image shows that time was set back rather than that it was delayed.

        It does when it is `jump_s` older than the newest one, or is not newer though it
        arrives `jump_s` later (a short recording that is played again).
        """
        if self._newest is None or image.stamp_ns > self._newest.stamp_ns:
            return False
        return (
            self._newest.stamp_ns - image.stamp_ns > jump_s * 1e9
            or image.arrival_s - self._newest.arrival_s > jump_s
        )

    def is_of_old_run(self, horizon_ns: int, silent_since_s: float) -> bool:
        """Whether what is known stems from before time was set back, not from after it."""
        if self._newest is None or self._last_arrival_s is None:
            return False
        return self._newest.stamp_ns > horizon_ns or self._last_arrival_s < silent_since_s

    def is_duplicate(self, image: StampedImage[T]) -> bool:
        return image.stamp_ns in self._stamps

    def note(self, image: StampedImage[T]) -> None:
        """Learn the camera's rhythm from an image, whatever becomes of it."""
        self._stamps.append(image.stamp_ns)
        if self._newest is None or image.stamp_ns > self._newest.stamp_ns:
            if self._newest is not None:
                self._intervals.append(image.stamp_ns - self._newest.stamp_ns)
            self._newest = image

    def add(self, image: StampedImage[T]) -> StampedImage[T] | None:
        """Let an image wait; returns the oldest one if it had to give way."""
        insort(self._images, image, key=lambda waiting: waiting.stamp_ns)
        return self._images.pop(0) if len(self._images) > self._queue_size else None

    def nearest(self, stamp_ns: int, slop_ns: int) -> StampedImage[T] | None:
        """The waiting image nearest to a stamp, the older of two equally near ones."""
        best = min(self._images, key=lambda image: abs(image.stamp_ns - stamp_ns), default=None)
        return best if best and abs(best.stamp_ns - stamp_ns) <= slop_ns else None

    def is_settled(self, stamp_ns: int, slop_ns: int) -> bool:
        """Whether no image that is still to come can be nearer to a stamp than those here.

        An image at or after the stamp settles it; so does one before it by less than half
        the camera's period, which spares waiting for a camera that fires a little earlier
        than the reference.
        """
        if self._newest is None:
            return False
        newest_ns = self._newest.stamp_ns
        if newest_ns >= stamp_ns:
            return True
        if not self._intervals or self.nearest(stamp_ns, slop_ns) is None:
            return False
        return 2 * (stamp_ns - newest_ns) <= min(self._intervals)

    def take(self, image: StampedImage[T]) -> None:
        """Remove an image that a frame uses."""
        self._images.remove(image)

    def forget_before(self, floor_ns: int) -> int:
        """Drop images that are too old for any coming frame; returns how many.

        A camera that lies behind the floor as a whole is left alone: when time is set back,
        its images may be the first of the new epoch.
        """
        if self._newest is None or self._newest.stamp_ns < floor_ns:
            return 0
        kept = [image for image in self._images if image.stamp_ns >= floor_ns]
        forgotten = len(self._images) - len(kept)
        self._images = kept
        return forgotten
