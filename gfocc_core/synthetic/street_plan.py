"""Lays out a scene's roads around the way the ego will drive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gfocc_core.synthetic.curves import Curve, crossings, joined, turn_between, unit
from gfocc_core.synthetic.districts import District
from gfocc_core.synthetic.streets import Junction, Road, Side, Zebra, find_junctions

LEAD_IN = 70.0
"""Metres of the route behind the ego's start, for who follows it."""
BEYOND = 90.0
"""Metres a road goes on beyond where the ego leaves it."""
_STRAIGHT = 28.0
"""Metres before and after a junction on the ego's way that do not bend."""


@dataclass(frozen=True, eq=False)
class StreetPlan:
    """All roads of a scene; the first ones, `legs` many, are those the ego drives on."""

    roads: tuple[Road, ...]
    junctions: tuple[Junction, ...]
    zebras: tuple[Zebra, ...]
    legs: int
    route: Curve
    """The ego's way; it starts at arc length LEAD_IN."""
    corner: float
    """Radius of the curbs at junctions, metres."""


def plan_streets(rng: np.random.Generator, district: District, distance: float) -> StreetPlan:
    """Roads for a drive of up to `distance` metres."""
    corner = float(rng.uniform(4.0, 6.0))
    most_turns = int(np.clip((distance - 20) // 50, 0, 2))
    turns = int(rng.choice(most_turns + 1, p=_turn_chances(most_turns)))
    roads, lane_ends, spans, bends = _legs(rng, district, distance, turns)
    route = _route(rng, roads, lane_ends, spans, bends, corner)
    legs = len(roads)
    for leg in range(legs):
        _add_cross_streets(rng, district, roads, leg, spans[leg])
    junctions = find_junctions(roads, corner)
    zebras = _zebras(rng, district, roads, legs, spans, junctions)
    return StreetPlan(tuple(roads), junctions, zebras, legs, route, corner)


def _turn_chances(most: int) -> list[float]:
    return [[1.0], [0.4, 0.6], [0.3, 0.4, 0.3]][most]


def _legs(
    rng: np.random.Generator, district: District, distance: float, turns: int
) -> tuple[list[Road], list[tuple[float, float]], list[tuple[float, float]], list[int]]:
    """Roads driven on; the ego's lateral places at both ends, arc spans, and turns (+1 left)."""
    shifts = rng.uniform(-0.2, 0.2, turns) * distance / (turns + 1)
    cuts = np.linspace(0, distance, turns + 2)[1:-1] + shifts
    if turns == 2:
        cuts[1] = max(cuts[1], cuts[0] + 48)
    lengths = np.diff([-LEAD_IN, *cuts, distance + BEYOND])
    signs = [int(sign) for sign in rng.choice([-1, 1], turns)]
    if turns == 2 and lengths[1] < 100:
        signs[1] = -signs[0]  # turning back so soon would run into where it came from
    at, yaw = np.zeros(2), float(rng.uniform(-np.pi, np.pi))
    roads: list[Road] = []
    lane_ends: list[tuple[float, float]] = []
    spans: list[tuple[float, float]] = []
    entered = 0
    for leg, length in enumerate(lengths):
        leaves = signs[leg] if leg < turns else 0
        ends_here = leaves != 0 and rng.random() < 0.3
        starts_here = (
            leg > 0 and not roads[-1].axis.length < spans[-1][1] + 5 and rng.random() < 0.4
        )
        before = 2.0 if starts_here else BEYOND
        pieces = [(before + _STRAIGHT, 0.0), *_bends(rng, length - 2 * _STRAIGHT)]
        pieces.append((_STRAIGHT + (2.0 if ends_here else BEYOND), 0.0))
        axis = Curve.bending(at - before * unit(yaw), yaw, pieces)
        road = make_road(rng, district, axis, main=True)
        places = road.forward_offsets
        free = places[int(rng.integers(len(places)))]
        come = {0: free, 1: places[0], -1: places[-1]}[entered]
        go = {0: come, 1: places[0], -1: places[-1]}[leaves]
        roads.append(road)
        spans.append((before, before + float(length)))
        lane_ends.append((come, go))
        at = axis.at(before + length)
        yaw = (
            float(axis.yaw_at(before + length)) + leaves * np.pi / 2 + float(rng.uniform(-0.2, 0.2))
        )
        entered = leaves
    return roads, lane_ends, spans, signs


def _bends(rng: np.random.Generator, length: float) -> list[tuple[float, float]]:
    """Straights and bends that fill a length; some roads stay straight."""
    if length < 30 or rng.random() < 0.3:
        return [(max(length, 1.0), 0.0)]
    pieces, left = [], length
    while left > 20:
        straight = min(float(rng.uniform(8, 40)), left)
        radius = float(np.exp(rng.uniform(np.log(32), np.log(180))))
        arc = min(radius * float(rng.uniform(0.15, 0.8)), max(left - straight, 0.0), 60.0)
        pieces += [(straight, 0.0), (arc, float(rng.choice([-1, 1])) / radius)]
        left -= straight + arc
    return [piece for piece in [*pieces, (left, 0.0)] if piece[0] > 0]


def make_road(rng: np.random.Generator, district: District, axis: Curve, main: bool) -> Road:
    """A road with a cross-section as the district has them."""
    one_way = bool(rng.random() < district.one_way)
    wide = bool(rng.random() < district.wide * (1.0 if main else 0.3))
    lanes = 2 if wide else 1
    has_median = not one_way and rng.random() < district.median * (1.0 if main else 0.2)
    forward = max(lanes, int(rng.integers(1, 3))) if one_way else lanes
    if one_way and not main and rng.random() < 0.5:
        axis = axis.backwards()
    left, right = (_side(rng, district) for _ in range(2))
    return Road(
        axis=axis,
        forward=forward,
        backward=0 if one_way else lanes,
        lane_width=float(rng.uniform(3.1, 3.6)),
        left=left,
        right=right,
        median=float(rng.uniform(1.4, 3.0)) if has_median else 0.0,
        speed=float(rng.uniform(district.speed[0] + 1, district.speed[1] + 1)),
    )


def _side(rng: np.random.Generator, district: District) -> Side:
    if rng.random() < district.no_sidewalk:
        return Side()
    return Side(
        parking=float(rng.uniform(2.1, 2.4)) if rng.random() < district.parking else 0.0,
        verge=float(rng.uniform(0.8, 2.2)) if rng.random() < district.verge else 0.0,
        sidewalk=float(rng.uniform(*district.sidewalk)),
    )


def _route(
    rng: np.random.Generator,
    roads: Sequence[Road],
    lane_ends: Sequence[tuple[float, float]],
    spans: Sequence[tuple[float, float]],
    bends: Sequence[int],
    corner: float,
) -> Curve:
    """The ego's way through all legs, changing lanes within a leg where its ends ask for it."""
    ways = []
    for road, (come, go), (start, end) in zip(roads, lane_ends, spans, strict=True):
        arcs = np.linspace(start, end, int((end - start) / 0.5) + 1)
        along = np.clip(((arcs - start) / (end - start) - 0.3) / 0.4, 0, 1)
        ways.append(Curve(road.axis.at(arcs, come + (go - come) * (1 - np.cos(np.pi * along)) / 2)))
    route = ways[0]
    for way, bend in zip(ways[1:], bends, strict=True):
        tight = corner + 1.7 + float(rng.uniform(0.3, 2.0))
        radius = float(np.clip(tight, 7.0, 12.0)) if bend < 0 else float(rng.uniform(8.5, 12.0))
        route = turn_between(route, way, radius)
    return joined([route]).rounded(3.0)


def _add_cross_streets(
    rng: np.random.Generator,
    district: District,
    roads: list[Road],
    leg: int,
    span: tuple[float, float],
) -> None:
    """Crossing streets and T-junctions along one leg, away from the ones it has."""
    main = roads[leg].axis
    taken = [
        arc for other in roads if other is not roads[leg] for arc, _ in crossings(main, other.axis)
    ]
    arc = span[0] + float(rng.uniform(10, 45)) - LEAD_IN * (leg > 0)
    while arc < min(span[1] + 60, main.length - 15):
        if arc > 15 and all(abs(arc - other) > 45 for other in taken):
            axis = _cross_axis(rng, roads, leg, arc)
            if axis is not None:
                roads.append(make_road(rng, district, axis, main=False))
                taken.append(arc)
        arc += float(rng.uniform(*district.block)) if taken and taken[-1] == arc else 15.0


def _cross_axis(
    rng: np.random.Generator, roads: Sequence[Road], leg: int, arc: float
) -> Curve | None:
    """The axis of a street through a leg's point, or None where others leave no room."""
    main = roads[leg].axis
    at, yaw = main.at(arc), float(main.yaw_at(arc))
    side = float(rng.choice([-1, 1]))
    yaw += side * np.pi / 2 + float(rng.uniform(-0.15, 0.15))
    before = BEYOND if rng.random() < 0.55 else 1.5
    bend = float(rng.choice([-1, 0, 1])) / float(rng.uniform(50, 150))
    pieces = [(before + 30.0, 0.0), (25.0, bend), (BEYOND - 55.0, 0.0)]
    axis = Curve.bending(at - before * unit(yaw), yaw, pieces)
    low, high = 0.0, axis.length
    for index, road in enumerate(roads):
        if index == leg:
            if len(crossings(axis, road.axis)) != 1:
                return None
            continue
        for own, other in crossings(axis, road.axis):
            angle = float(axis.yaw_at(own) - road.axis.yaw_at(other))
            if abs(np.sin(angle)) < 0.75 or abs(own - before) < 45:
                return None
            low, high = (low, min(high, own + 1.5)) if own > before else (max(low, own - 1.5), high)
    axis = axis.cut(low, high)
    for index, road in enumerate(roads):
        met = [own for own, _ in crossings(axis, road.axis)]
        away = np.all([np.abs(axis.arc - own) > 30 for own in met], axis=0) if met else slice(None)
        points = axis.points[away][::4]
        apart = np.linalg.norm(points[:, None] - road.axis.points[None, ::4], axis=2)
        if len(points) and apart.min() < 24 and index != leg:
            return None
    return axis


def _zebras(
    rng: np.random.Generator,
    district: District,
    roads: Sequence[Road],
    legs: int,
    spans: Sequence[tuple[float, float]],
    junctions: Sequence[Junction],
) -> tuple[Zebra, ...]:
    """At some arms of junctions, and some between junctions of the ego's roads."""
    width, share = float(rng.uniform(2.5, 4.0)), float(rng.uniform(0.3, 0.9))
    zebras = []
    for junction in junctions:
        for k in (0, 1):
            road = junction.roads[k]
            for side in (-1, 1):
                arc = junction.arcs[k] + side * (junction.reach[k] + 0.3 + width / 2)
                inside = width < arc < roads[road].axis.length - width
                if inside and district.no_sidewalk < 0.3 and rng.random() < share:
                    zebras.append(Zebra(road, arc, width))
    for leg in range(legs):
        arc = float(rng.uniform(*spans[leg]))
        busy = [j.arcs[k] for j in junctions for k in (0, 1) if j.roads[k] == leg]
        if rng.random() < 0.4 and all(abs(arc - other) > 28 for other in busy):
            zebras.append(Zebra(leg, arc, width))
    return tuple(zebras)
