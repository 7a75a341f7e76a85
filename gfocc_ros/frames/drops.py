"""Why inputs were dropped: counted by reason and camera, told at a rate one can read.

Counted by the frame assembler, the frame builder and the node; knows no ROS.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from enum import Enum


class Drop(Enum):
    """Reasons; the value is the name in logs."""

    DUPLICATE_IMAGE = "duplicate_image"
    LATE_IMAGE = "late_image"
    FUTURE_IMAGE = "future_image"
    UNSTAMPED_IMAGE = "unstamped_image"
    UNMATCHED_IMAGE = "unmatched_image"
    QUEUE_FULL = "queue_full"
    TIME_JUMP = "time_jump"
    TIME_SET_BACK = "time_set_back"
    """No image is lost by it, only what was remembered before it; `time_jump` counts images."""
    SILENT_CAMERA = "silent_camera"
    NO_CAMERA_INFO = "no_camera_info"
    BAD_CAMERA_INFO = "bad_camera_info"
    UNDECODABLE_IMAGE = "undecodable_image"
    SIZE_MISMATCH = "size_mismatch"
    NO_CAMERA_POSE = "no_camera_pose"
    NO_EGO_POSE = "no_ego_pose"
    ODOMETRY_JUMP = "odometry_jump"
    """No frame is lost, only what was remembered before it."""
    TOO_FEW_CAMERAS = "too_few_cameras"
    SUPERSEDED_FRAME = "superseded_frame"
    PREDICTION_FAILED = "prediction_failed"


QUIET_DROPS = frozenset(
    {Drop.UNMATCHED_IMAGE, Drop.SUPERSEDED_FRAME, Drop.TIME_JUMP, Drop.TIME_SET_BACK}
)
"""Part of normal operation (cameras faster than the reference or the network): no warning."""


class DropCounters:
    """Thread-safe counts of drops since the start, and what is new since one last asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: Counter[Drop] = Counter()
        self._new: dict[Drop, Counter[str]] = {}
        self._details: dict[Drop, str] = {}

    def count(self, reason: Drop, camera: str = "", detail: str = "", times: int = 1) -> None:
        """Count a drop; `detail` says what was found, an empty camera means the whole frame."""
        if times < 1:
            return
        with self._lock:
            self._totals[reason] += times
            self._new.setdefault(reason, Counter())[camera] += times
            if detail:
                self._details[reason] = detail

    def totals(self) -> Mapping[Drop, int]:
        """Drops since the start by reason."""
        with self._lock:
            return dict(self._totals)

    def take_news(self) -> dict[Drop, str]:
        """One sentence for each reason that occurred since the last call."""
        with self._lock:
            sentences = {
                reason: self._sentence(reason, cameras) for reason, cameras in self._new.items()
            }
            self._new.clear()
            self._details.clear()
        return sentences

    def _sentence(self, reason: Drop, cameras: Counter[str]) -> str:
        places = [f"{camera or 'frame'} x{count}" for camera, count in sorted(cameras.items())]
        text = f"{reason.value}: {', '.join(places)} ({self._totals[reason]} since the start)"
        detail = self._details.get(reason, "")
        return f"{text}: {detail}" if detail else text
