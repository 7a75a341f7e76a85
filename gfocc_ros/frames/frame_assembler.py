"""From single images to sets around one instant: approximate time with a reference camera.

A set forms around every image of the reference camera. Each other camera gives its image
nearest to it within the slop; a set is ready when no nearer image can come, or at the
deadline, without the cameras that stayed silent. Sets leave in the order of their stamps.
When the reference camera itself is silent, the first camera that is not stands in for it.
Pure Python without ROS; not thread-safe: give it to one callback group.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from gfocc_ros.frames.camera_stream import CameraStream, StampedImage
from gfocc_ros.frames.drops import Drop, DropCounters
from gfocc_ros.frames.stamp_check import StampCheck

T = TypeVar("T")


@dataclass(frozen=True)
class AssemblerSettings:
    """How sets are formed; the node's parameters of the same names describe the fields."""

    cameras: tuple[str, ...]
    reference_camera: str
    slop_s: float
    deadline_s: float
    min_cameras: int
    queue_size: int
    time_jump_s: float
    reference_timeout_s: float
    future_limit_s: float = 1.0
    """A stamp further ahead of the node's clock or of the other cameras is wrong."""


@dataclass(frozen=True)
class ImageSet(Generic[T]):
    """The images that form one frame; cameras that stayed silent are absent."""

    stamp_ns: int
    """Stamp of the reference image."""
    arrival_s: float
    """When the reference image arrived, monotonic clock."""
    images: Mapping[str, StampedImage[T]]
    epoch: int
    """Rises by one whenever time is set back: memory of an earlier epoch must go."""


@dataclass(frozen=True)
class _Anchor(Generic[T]):
    camera: str
    image: StampedImage[T]


class FrameAssembler(Generic[T]):
    """Push images as they arrive, poll for the sets that are ready."""

    def __init__(self, settings: AssemblerSettings, drops: DropCounters) -> None:
        self._settings = settings
        self._drops = drops
        self._slop_ns = round(settings.slop_s * 1e9)
        self._streams: dict[str, CameraStream[T]] = {
            camera: CameraStream(settings.queue_size) for camera in settings.cameras
        }
        self._check = StampCheck(round(settings.future_limit_s * 1e9), settings.reference_timeout_s)
        self._heard: set[str] = set()
        self._pending: list[_Anchor[T]] = []
        self._last: _Anchor[T] | None = None
        self._first_arrival_s: float | None = None
        self._epoch = 0

    @property
    def is_waiting(self) -> bool:
        """Whether a set waits for cameras or its deadline: poll again soon."""
        return bool(self._pending)

    def heard_cameras(self) -> set[str]:
        """Cameras that ever sent an image, usable or not."""
        return set(self._heard)

    def push(
        self,
        camera: str,
        stamp_ns: int,
        arrival_s: float,
        message: T,
        clock_ns: int | None = None,
    ) -> bool:
        """Take in an image; returns whether time was set back since the last set.

        Args:
            camera: one of the settings' cameras.
            stamp_ns: the image's stamp.
            arrival_s: now, on the monotonic clock.
            message: travels with the image.
            clock_ns: now, on the clock of the stamps; None or 0: not known.
        """
        self._heard.add(camera)
        if stamp_ns <= 0:
            self._drops.count(Drop.UNSTAMPED_IMAGE, camera, f"stamp {stamp_ns} ns")
            return False
        ahead = self._check.ahead(camera, stamp_ns, arrival_s, clock_ns)
        if ahead:
            self._drops.count(Drop.FUTURE_IMAGE, camera, ahead)
            return False
        image = StampedImage(stamp_ns, arrival_s, message)
        stream = self._streams[camera]
        stream.note_arrival(arrival_s)
        if self._first_arrival_s is None:
            self._first_arrival_s = arrival_s
        is_anchor = camera == self._anchor_camera(arrival_s)
        jumped = False
        if stream.restarts_with(image, self._settings.time_jump_s):
            self._drops.count(Drop.TIME_JUMP, camera, times=stream.clear())
            self._give_up([a for a in self._pending if a.camera == camera])
            jumped = is_anchor and self._restart(image)
        elif is_anchor and self._was_led_astray(camera, image):
            jumped = self._restart(image)
        if stream.is_duplicate(image):
            self._drops.count(Drop.DUPLICATE_IMAGE, camera, f"stamp {stamp_ns} ns came twice")
        elif is_anchor and self._last and stamp_ns <= self._last.image.stamp_ns:
            self._drops.count(Drop.LATE_IMAGE, camera, "a newer frame was already formed")
        else:
            stream.note(image)
            if is_anchor:
                self._add_anchor(_Anchor(camera, image))
            else:
                self._let_wait(camera, image)
        return jumped

    def poll(self, now_s: float) -> list[ImageSet[T]]:
        """The sets that are ready, oldest first; `now_s` is on the clock of the arrivals."""
        ready = []
        while self._pending and self._is_ready(self._pending[0], now_s):
            image_set = self._assemble(self._pending[0])
            if image_set is not None:
                ready.append(image_set)
        return ready

    def _anchor_camera(self, now_s: float) -> str:
        """The reference camera, or who stands in for it while it is silent."""
        reference, timeout = self._settings.reference_camera, self._settings.reference_timeout_s
        heard = self._streams[reference].last_arrival_s
        since = self._first_arrival_s if heard is None else heard
        if since is None or now_s - since <= timeout:
            return reference
        for camera, stream in self._streams.items():
            heard = stream.last_arrival_s
            if heard is not None and now_s - heard <= timeout:
                return camera
        return reference

    def _was_led_astray(self, camera: str, image: StampedImage[T]) -> bool:
        """Whether another camera, no longer followed, took the sets to a time far ahead."""
        last = self._last
        if last is None or last.camera == camera:
            return False
        return last.image.stamp_ns - image.stamp_ns > self._settings.time_jump_s * 1e9

    def _restart(self, image: StampedImage[T]) -> bool:
        """Start over at an earlier time; returns whether sets of the later time have left.

        Images of the new time that came before the reference camera's are kept.
        """
        jump_s = self._settings.time_jump_s
        horizon_ns = image.stamp_ns + round(jump_s * 1e9)
        self._give_up([a for a in self._pending if a.image.stamp_ns > horizon_ns])
        for camera, stream in self._streams.items():
            if stream.is_of_old_run(horizon_ns, image.arrival_s - jump_s):
                self._drops.count(Drop.TIME_JUMP, camera, times=stream.clear())
        if self._last is None:
            return False
        self._last = None
        self._epoch += 1
        return True

    def _give_up(self, anchors: list[_Anchor[T]]) -> None:
        """Pending anchors of a time that is over form no set."""
        for anchor in anchors:
            self._pending.remove(anchor)
            self._drops.count(Drop.TIME_JUMP, anchor.camera)

    def _add_anchor(self, anchor: _Anchor[T]) -> None:
        if anchor.camera == self._settings.reference_camera:
            stand_ins = [a for a in self._pending if a.camera != anchor.camera]
            self._pending = [a for a in self._pending if a.camera == anchor.camera]
            for stand_in in stand_ins:
                self._let_wait(stand_in.camera, stand_in.image)
        last = self._last
        if last and last.camera != anchor.camera:
            distance = abs(anchor.image.stamp_ns - last.image.stamp_ns)
            if distance <= self._slop_ns:  # the instant had its frame under another reference
                self._drops.count(Drop.UNMATCHED_IMAGE, anchor.camera)
                return
        insort(self._pending, anchor, key=lambda pending: pending.image.stamp_ns)
        if len(self._pending) > self._settings.queue_size:
            oldest = self._pending.pop(0)
            self._drops.count(Drop.QUEUE_FULL, oldest.camera)

    def _let_wait(self, camera: str, image: StampedImage[T]) -> None:
        if self._streams[camera].add(image) is not None:
            self._drops.count(Drop.UNMATCHED_IMAGE, camera)

    def _is_ready(self, anchor: _Anchor[T], now_s: float) -> bool:
        if now_s - anchor.image.arrival_s >= self._settings.deadline_s:
            return True
        return all(
            stream.is_settled(anchor.image.stamp_ns, self._slop_ns)
            for camera, stream in self._streams.items()
            if camera != anchor.camera
        )

    def _assemble(self, anchor: _Anchor[T]) -> ImageSet[T] | None:
        """Form the set around the oldest pending anchor and let go of what it makes useless."""
        images: dict[str, StampedImage[T]] = {}
        for camera, stream in self._streams.items():
            match = anchor.image if camera == anchor.camera else self._match(stream, anchor)
            if match is None:
                self._drops.count(Drop.SILENT_CAMERA, camera, "no image in time for the frame")
                continue
            images[camera] = match
            if camera != anchor.camera:
                stream.take(match)
        self._pending.pop(0)
        self._last = anchor
        for camera, stream in self._streams.items():
            forgotten = stream.forget_before(anchor.image.stamp_ns - self._slop_ns)
            self._drops.count(Drop.UNMATCHED_IMAGE, camera, times=forgotten)
        if len(images) < self._settings.min_cameras:
            found = f"{len(images)} of min_cameras {self._settings.min_cameras} sent an image"
            self._drops.count(Drop.TOO_FEW_CAMERAS, detail=found)
            return None
        return ImageSet(anchor.image.stamp_ns, anchor.image.arrival_s, images, self._epoch)

    def _match(self, stream: CameraStream[T], anchor: _Anchor[T]) -> StampedImage[T] | None:
        """The nearest image, unless it is nearer to a set that forms next.

        Else a camera that started late would lag behind by one image for ever.
        """
        stamp_ns = anchor.image.stamp_ns
        nearest = stream.nearest(stamp_ns, self._slop_ns)
        if nearest is None:
            return None
        next_ones = [a.image.stamp_ns for a in self._pending[1:]]
        period_ns = self._streams[anchor.camera].period_ns
        if period_ns is not None:
            next_ones.append(stamp_ns + period_ns)
        distance = abs(nearest.stamp_ns - stamp_ns)
        is_ours = all(distance <= abs(nearest.stamp_ns - other) for other in next_ones)
        return nearest if is_ours else None
