"""How the ego goes: its speed along the route, its stops, and who drives before and behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gfocc_core.synthetic.car_following import Driver, drive
from gfocc_core.synthetic.curves import Curve, unit
from gfocc_core.synthetic.parts import Array
from gfocc_core.synthetic.street_plan import LEAD_IN, StreetPlan

LENGTH, WIDTH = 4.1, 1.75
"""Of the ego's body, metres."""
AHEAD = 1.4
"""From the rear axle to the body's centre."""
RATE = 20.0
"""Samples per second."""


@dataclass(frozen=True, eq=False)
class Convoy:
    """Everyone on the ego's route; arc lengths [T] of origins along it at `times` [T]."""

    times: Array
    route: Curve
    ego: Array
    others: tuple[Array, ...]
    """Arc lengths of vehicles' centres, foremost first."""
    lengths: tuple[float, ...]
    """The longest each of the others may be."""
    rest: tuple[float, float] | None
    """When the ego stands still, first and last second; None where it never does."""
    zebra: int | None
    """Index of the crossing it stops at, if it stops at one."""

    def ego_body(self) -> tuple[Array, Array]:
        """Centres [T, 2] and headings [T] of the ego's body."""
        yaw = self.route.yaw_at(self.ego)
        return self.route.at(self.ego) + AHEAD * unit(yaw), yaw


def clock(duration: float) -> Array:
    """Sample times from one second before the scene to one after it."""
    return np.arange(round((duration + 2) * RATE) + 1) / RATE - 1.0


def plan_drive(
    rng: np.random.Generator, plan: StreetPlan, duration: float, cruise: float, stop_chance: float
) -> Convoy:
    """Simulate the ego and those who share its lane."""
    times = clock(duration)
    front, rear = AHEAD + LENGTH / 2, LENGTH / 2 - AHEAD
    reachable = LEAD_IN + cruise * duration * 0.75
    zebra, line = None, np.inf
    if rng.random() < stop_chance:
        zebra, line = _stop(rng, plan, LEAD_IN + front + 1.5 * cruise + 8, reachable)
    dwell = float(rng.uniform(1.0, 4.0))
    followers, leaders = (int(n) for n in rng.choice(3, 2, p=(0.4, 0.4, 0.2)))
    lengths, starts = [], []
    at = LEAD_IN + front
    for _ in range(leaders):
        length = 5.2 if rng.random() < 0.8 else 12.5
        at += float(rng.uniform(5, 16)) + cruise + length / 2
        starts.append(at)
        lengths.append(length)
        at += length / 2
    at = LEAD_IN - rear
    for _ in range(followers):
        length = 5.2
        at -= float(rng.uniform(3, 10)) + cruise + length / 2
        starts.append(at)
        lengths.append(length)
        at -= length / 2
    drivers = [Driver(0, LEAD_IN, cruise, front, rear, line, dwell)]
    for start, length in zip(starts, lengths, strict=True):
        pace = cruise * float(rng.uniform(0.9, 1.15))
        halt = line if start < LEAD_IN else np.inf
        drivers.append(Driver(0, start, pace, length / 2, length / 2, halt, 0.0))
    track = drive(times, [plan.route], drivers)
    return Convoy(
        times=times,
        route=plan.route,
        ego=track[0],
        others=tuple(track[1:]),
        lengths=tuple(lengths),
        rest=_rest(times, track[0]),
        zebra=zebra,
    )


def _stop(
    rng: np.random.Generator, plan: StreetPlan, low: float, high: float
) -> tuple[int | None, float]:
    """A zebra crossing on the route, or else a junction, and the arc length to stop at."""
    places: list[tuple[int | None, float]] = []
    for index, zebra in enumerate(plan.zebras):
        if zebra.road < plan.legs:
            arc = _on_route(plan, zebra.road, zebra.arc)
            if arc is not None:
                places.append((index, arc - zebra.width / 2 - 1.6))
    for junction in plan.junctions:
        for k in (0, 1):
            if junction.roads[k] < plan.legs:
                edge = junction.arcs[k] - junction.reach[k]
                arc = _on_route(plan, junction.roads[k], edge)
                if arc is not None:
                    places.append((None, arc - 1.0))
    fit = [place for place in places if low < place[1] < high]
    if not fit:
        return None, np.inf
    crossings = [place for place in fit if place[0] is not None]
    choice = crossings or fit
    return choice[int(rng.integers(len(choice)))]


def _on_route(plan: StreetPlan, road: int, arc: float) -> float | None:
    """The route's arc length beside a point of a road's axis, None where it is elsewhere."""
    point = plan.roads[road].axis.at(arc)
    near = plan.route.nearest(point)
    ahead = unit(plan.route.yaw_at(near)) @ unit(plan.roads[road].axis.yaw_at(arc))
    apart = float(np.linalg.norm(plan.route.at(near) - point))
    return near if apart < 9.0 and ahead > 0.95 else None


def _rest(times: Array, arcs: Array) -> tuple[float, float] | None:
    still = np.gradient(arcs, times) < 0.2
    if not still.any():
        return None
    resting = times[still]
    return float(resting[0]), float(resting[-1])


def swept_area(convoy: Convoy, margin: float) -> list[Array]:
    """Rectangles [4, 2] that the ego's body with a margin covers, every metre of its way."""
    arcs = np.arange(convoy.ego[0], convoy.ego[-1] + 1.0, 1.0)
    yaw = convoy.route.yaw_at(arcs)
    ahead, left = unit(yaw), unit(yaw + np.pi / 2)
    center = convoy.route.at(arcs) + AHEAD * ahead
    corners = [
        center + sx * (LENGTH / 2 + margin) * ahead + sy * (WIDTH / 2 + margin) * left
        for sx, sy in ((1, 1), (1, -1), (-1, -1), (-1, 1))
    ]
    return list(np.stack(corners, 1))
