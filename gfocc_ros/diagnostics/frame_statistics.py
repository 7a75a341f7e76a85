"""Where each frame's time went, kept for the last seconds; knows no ROS.

The worker thread adds, the node's thread reads.
"""

from __future__ import annotations

import statistics
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

WINDOW_S = 10.0
"""What diagnostics say of rates, latencies and drops holds for this long."""


@dataclass(frozen=True)
class FrameRecord:
    """One published frame."""

    done_s: float
    """When it was published, monotonic clock."""
    stages_ms: Mapping[str, float]
    """What followed what, from the reference image's arrival to the end of publishing all but
    the forecast; the sum is the latency from arrival."""
    details_ms: Mapping[str, float]
    """Parts of stages, what follows them, and how far the cameras' stamps lie apart."""
    stamp_latency_ms: float
    """From the reference image's stamp, on the node's ROS clock, to the end of publishing."""
    cameras: int
    """How many took part."""
    memory_age_s: float | None
    """Age of the state that the frame remembered; None: it had no memory."""

    @property
    def latency_ms(self) -> float:
        """From the reference image's arrival to the end of publishing."""
        return sum(self.stages_ms.values())


@dataclass(frozen=True)
class Spread:
    """Median and worst of some numbers."""

    median: float
    worst: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread | None:
        """None of no numbers."""
        numbers = list(values)
        return cls(statistics.median(numbers), max(numbers)) if numbers else None


class FrameStatistics:
    """Thread-safe records of the frames of the last WINDOW_S seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: deque[FrameRecord] = deque()
        self._total = 0

    @property
    def total(self) -> int:
        """Frames since the start."""
        return self._total

    @property
    def last(self) -> FrameRecord | None:
        """The newest frame, as long as it is kept."""
        with self._lock:
            return self._records[-1] if self._records else None

    def add(self, record: FrameRecord) -> None:
        with self._lock:
            self._records.append(record)
            self._total += 1
            self._forget(record.done_s)

    def recent(self, now_s: float) -> tuple[FrameRecord, ...]:
        """Frames of the last WINDOW_S seconds, oldest first; the newest one whatever its age."""
        with self._lock:
            self._forget(now_s)
            return tuple(self._records)

    def _forget(self, now_s: float) -> None:
        while len(self._records) > 1 and self._records[0].done_s < now_s - WINDOW_S:
            self._records.popleft()
