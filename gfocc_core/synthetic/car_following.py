"""How vehicles drive along their lanes: the intelligent driver model, all lanes at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gfocc_core.synthetic.curves import Curve
from gfocc_core.synthetic.parts import Array

ACCELERATION = 1.6
BRAKING = 2.4
"""Hardest, m/s^2."""
_COMFORT = 1.5
_LATERAL = 1.8
_STANDSTILL = 2.0
"""Gap between bumpers at rest, metres."""
_HEADWAY = 1.3
_SUBSTEP = 0.05


@dataclass(frozen=True)
class Driver:
    """A vehicle on a lane; arc lengths are those of its origin along the lane, metres."""

    lane: int
    start: float
    cruise: float
    front: float
    """From the origin to the front bumper."""
    rear: float
    stop_line: float = np.inf
    """Arc length where the front bumper comes to rest."""
    dwell: float = np.inf
    """Seconds of rest there."""
    from_rest: bool = False


def speed_limits(lane: Curve) -> Array:
    """[K] m/s at the lane's points: bends allow no more, and braking for them starts in time."""
    limit = np.sqrt(_LATERAL / np.maximum(np.abs(lane.curvature()), 1e-6))
    steps = np.diff(lane.arc)
    for k in range(len(limit) - 2, -1, -1):
        limit[k] = min(limit[k], np.sqrt(limit[k + 1] ** 2 + 2 * 1.2 * steps[k]))
    return np.minimum(limit, 30.0)


def drive(times: Array, lanes: Sequence[Curve], drivers: Sequence[Driver]) -> Array:
    """Arc lengths [N, T] of all drivers at evenly spaced `times`, nobody running into a leader."""
    tables = [speed_limits(lane) for lane in lanes]
    base = np.cumsum([0, *(len(table) for table in tables)])
    table = np.concatenate(tables)
    lane = np.array([d.lane for d in drivers], np.int64)
    low, last = base[lane], base[lane + 1] - 1
    spacing = np.array([lanes[k].length / (len(tables[k]) - 1) for k in lane])
    arc, cruise, front, rear, line, dwell = (
        np.array([getattr(d, name) for d in drivers], np.float64)
        for name in ("start", "cruise", "front", "rear", "stop_line", "dwell")
    )
    leader = _leaders(lane, arc)

    def allowed(arc: Array) -> Array:
        at = np.clip(low + np.round(arc / spacing).astype(np.int64), low, last)
        return np.minimum(table[at], cruise)

    speed = np.where([d.from_rest for d in drivers], 0.0, allowed(arc))
    waited = np.zeros(len(drivers))
    steps = max(round((times[1] - times[0]) / _SUBSTEP), 1)
    dt = (times[1] - times[0]) / steps
    track = np.empty((len(drivers), len(times)))
    for k in range(len(times)):
        track[:, k] = arc
        for _ in range(steps):
            ahead = np.where(leader >= 0, arc[leader] - rear[leader], np.inf) - arc - front
            ahead_speed = np.where(leader >= 0, speed[leader], 0.0)
            to_line = line - arc - front
            held = (to_line > -0.5) & (waited < dwell)
            waited += np.where(held & (speed < 0.15) & (to_line < 3.0), dt, 0.0)
            limit = np.minimum(allowed(arc), allowed(arc + 0.6 * speed))
            push = np.minimum(ACCELERATION, (limit - speed) / 0.6)
            push = np.minimum(push, _interaction(speed, ahead_speed, ahead))
            gap = np.where(held, to_line + _STANDSTILL - 0.2, np.inf)
            push = np.clip(
                np.minimum(push, _interaction(speed, np.zeros_like(speed), gap)),
                -BRAKING,
                ACCELERATION,
            )
            faster = np.maximum(speed + push * dt, 0.0)
            arc = arc + (speed + faster) / 2 * dt
            speed = faster
    return track


def _leaders(lane: npt.NDArray[np.int64], arc: Array) -> npt.NDArray[np.int64]:
    """[N] index of the next vehicle ahead on the same lane, -1 where none is."""
    leader = np.full(len(lane), -1)
    order = np.lexsort((arc, lane))
    same = lane[order[:-1]] == lane[order[1:]]
    leader[order[:-1][same]] = order[1:][same]
    return leader


def _interaction(speed: Array, ahead_speed: Array, gap: Array) -> Array:
    wanted = _STANDSTILL + np.maximum(
        speed * _HEADWAY + speed * (speed - ahead_speed) / (2 * np.sqrt(ACCELERATION * _COMFORT)),
        0.0,
    )
    return ACCELERATION * (1 - (wanted / np.maximum(gap, 0.1)) ** 2)
