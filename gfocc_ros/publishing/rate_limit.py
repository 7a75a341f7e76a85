"""Lets through no more than a rate on average, at the beat of whatever comes."""

from __future__ import annotations

import math

_EARLY = 0.1
"""Share of a period by which a pass may come early: frames at the limit's own rate jitter."""


class RateLimit:
    """Counts passes on the caller's clock; the rate may differ from call to call, 0 is no limit.

    A pass that comes late does not delay the ones after it, so that frames at 10 Hz and a limit
    of 4 Hz give 4 Hz, not 3.3.
    """

    def __init__(self) -> None:
        self._next_s = -math.inf

    def is_due(self, rate_hz: float, now_s: float) -> bool:
        """Whether a pass at this time keeps within the rate."""
        if rate_hz == 0:
            return True
        period = 1 / rate_hz
        # A pass is at most one period and a share ahead of the next, unless clock or rate changed.
        is_of_another_time = now_s < self._next_s - 2 * period
        return is_of_another_time or now_s >= self._next_s - _EARLY * period

    def passed(self, rate_hz: float, now_s: float) -> None:
        """Note a pass."""
        if rate_hz == 0:
            self._next_s = now_s
            return
        period = 1 / rate_hz
        is_on_beat = abs(now_s - self._next_s) < period
        self._next_s = (self._next_s if is_on_beat else now_s) + period
