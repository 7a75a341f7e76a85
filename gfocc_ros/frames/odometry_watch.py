"""Tells a vehicle that drives from odometry that jumps.

Used by the frame builder, in one thread; knows no ROS.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

TOP_SPEED = 70.0
"""m/s (252 km/h): what explains a move when nothing is known of the speed before it."""
TOP_ACCELERATION = 15.0
"""m/s^2 (1.5 g) in any direction: how far a vehicle can come to lie from where its speed led."""
TOP_TURN_RATE = 3.0
"""rad/s: no wheeled vehicle with cameras on it spins faster for long."""
TURN_MARGIN = 0.5
"""rad of turn beyond that rate that are a jump: memory 40 m away would land 20 m off."""
SPEED_MEMORY_S = 1.0
"""A speed older than this says nothing about the next move."""
SHORTEST_S = 0.02
"""Poses closer in time than this give no speed: their noise would be most of it."""


@dataclass(frozen=True)
class _Seen:
    stamp_ns: int
    global_from_ego: Tensor
    velocity: Tensor | None = None
    """[3] m/s in the fixed frame, mean since the frame before; None: not known."""
    interval_s: float = 0.0
    """Seconds over which the velocity is the mean."""


class OdometryWatch:
    """Judges each frame's pose by the one before and by the speed that led there.

    A fixed limit would call 30 m/s at 2 Hz a jump; one that only allows for the top speed would
    let 35 m pass at 2 Hz. Mean speeds over neighbouring intervals t0 and t differ by at most
    `a (t0 + t) / 2`, which leaves a margin of 3.8 m at 2 Hz and 0.1 m at 12 Hz.
    """

    def __init__(self, max_jump_m: float) -> None:
        """Call a pose a jump that is off by more than `max_jump_m` beyond what driving explains."""
        self._max_jump_m = max_jump_m
        self._last: _Seen | None = None

    def forget(self) -> None:
        """Start anew: what comes next is no continuation."""
        self._last = None

    def jump(self, stamp_ns: int, global_from_ego: Tensor) -> str:
        """How the pose [4, 4] (m) of the next frame cannot follow from the last; empty: it can."""
        last = self._last
        self._last = _Seen(stamp_ns, global_from_ego)
        if last is None or stamp_ns <= last.stamp_ns:
            return ""
        seconds = (stamp_ns - last.stamp_ns) * 1e-9
        moved = global_from_ego[:3, 3] - last.global_from_ego[:3, 3]
        found = self._judge(last, moved, seconds) or _judge_turn(last, global_from_ego, seconds)
        if not found and seconds >= SHORTEST_S:
            self._last = _Seen(stamp_ns, global_from_ego, moved / seconds, seconds)
        return found

    def _judge(self, last: _Seen, moved: Tensor, seconds: float) -> str:
        if last.velocity is None or seconds > SPEED_MEMORY_S:
            off, explained = float(moved.norm()), TOP_SPEED * seconds
        else:
            off = float((moved - last.velocity * seconds).norm())
            explained = 0.5 * TOP_ACCELERATION * seconds * (last.interval_s + seconds)
        if off <= self._max_jump_m + explained:
            return ""
        return (
            f"odometry moved {float(moved.norm()):.3g} m in {seconds:.3g} s, "
            f"{off - explained:.3g} m more than driving explains"
        )


def _judge_turn(last: _Seen, global_from_ego: Tensor, seconds: float) -> str:
    turn = last.global_from_ego[:3, :3].T @ global_from_ego[:3, :3]
    angle = math.acos(max(-1.0, min(1.0, (float(torch.trace(turn)) - 1) / 2)))
    if angle <= TURN_MARGIN + TOP_TURN_RATE * seconds:
        return ""
    return f"odometry turned by {angle:.3g} rad in {seconds:.3g} s"
