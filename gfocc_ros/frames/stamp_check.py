"""Is an image's stamp in the future? Judged by the node's clock and by the other cameras.

Used by the frame assembler; knows no ROS.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median_high


@dataclass(frozen=True)
class _Heard:
    stamp_ns: int
    arrival_s: float


class StampCheck:
    """Compares each stamp with the clock and with what most of the other cameras send.

    Most of them, and as they came, accepted or not: when time jumps ahead for all (a recording
    goes on at a later point), half of the cameras lose one image, and then all are believed
    again. One camera whose clock is wrong is refused for as long as it is.
    """

    def __init__(self, limit_ns: int, silence_s: float) -> None:
        """Allow stamps `limit_ns` ahead; ask no camera that is silent for `silence_s`."""
        self._limit_ns = limit_ns
        self._silence_s = silence_s
        self._heard: dict[str, _Heard] = {}

    def ahead(self, camera: str, stamp_ns: int, arrival_s: float, clock_ns: int | None) -> str:
        """By how much a stamp lies too far in the future, and of what; empty: it does not.

        Args:
            camera: who sent it.
            stamp_ns: the stamp.
            arrival_s: now, on the monotonic clock.
            clock_ns: now, on the clock of the stamps; None or 0 (no /clock yet): not known.
        """
        others = self._others_now_ns(camera, arrival_s)
        self._heard[camera] = _Heard(stamp_ns, arrival_s)
        if clock_ns and stamp_ns - clock_ns > self._limit_ns:
            return f"stamp is {(stamp_ns - clock_ns) * 1e-9:.3f} s ahead of the clock"
        if others and stamp_ns - median_high(others) > self._limit_ns:
            lead = (stamp_ns - median_high(others)) * 1e-9
            return f"stamp is {lead:.3f} s ahead of the other cameras"
        return ""

    def _others_now_ns(self, camera: str, now_s: float) -> list[int]:
        """What the other cameras that are not silent would stamp now."""
        return [
            heard.stamp_ns + round((now_s - heard.arrival_s) * 1e9)
            for name, heard in self._heard.items()
            if name != camera and now_s - heard.arrival_s <= self._silence_s
        ]
