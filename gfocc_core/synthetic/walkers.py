"""People on foot: along sidewalks, across zebra crossings, waiting at corners."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from gfocc_core.synthetic.clearance import Clearance, Course
from gfocc_core.synthetic.curves import Curve, joined
from gfocc_core.synthetic.ego_drive import Convoy
from gfocc_core.synthetic.parts import Array
from gfocc_core.synthetic.people import make_pedestrian
from gfocc_core.synthetic.relief import drive_over
from gfocc_core.synthetic.site import WALKABLE, Site
from gfocc_core.synthetic.streets import Road, Zebra
from gfocc_core.synthetic.world import WorldObject

_EVERY = 2
_MARGIN = 0.35


def add_crossing_people(
    rng: np.random.Generator, site: Site, convoy: Convoy, clearance: Clearance, busy: float
) -> None:
    """People on zebra crossings; those before the resting ego first."""
    if convoy.zebra is not None and convoy.rest is not None:
        middle = sum(convoy.rest) / 2
        for _ in range(int(rng.integers(2, 6))):
            moment = middle + float(rng.uniform(-1.0, 0.5))
            _cross(rng, site, convoy, clearance, site.plan.zebras[convoy.zebra], moment)
    for zebra in site.plan.zebras:
        for _ in range(int(rng.poisson(busy))):
            moment = float(rng.uniform(convoy.times[0], convoy.times[-1]))
            _cross(rng, site, convoy, clearance, zebra, moment)


def _cross(
    rng: np.random.Generator,
    site: Site,
    convoy: Convoy,
    clearance: Clearance,
    zebra: Zebra,
    moment: float,
) -> None:
    """Someone who comes along the sidewalk, is on the road's middle at `moment`, and walks on."""
    road = site.plan.roads[zebra.road]
    sides = [_walk_place(rng, road, side) for side in (0, 1)]
    arc = zebra.arc + float(rng.uniform(-0.35, 0.35)) * zebra.width
    come, go = (float(rng.choice([-1, 1])) * float(rng.uniform(4, 16)) for _ in range(2))
    corners = [
        road.axis.at(arc + come, sides[0]),
        road.axis.at(arc, sides[0]),
        road.axis.at(arc, sides[1]),
        road.axis.at(arc + go, sides[1]),
    ]
    legs = [Curve(np.stack(pair)) for pair in pairwise(corners)]
    path = joined(legs).rounded(1.5)
    half_way = legs[0].length + legs[1].length / 2
    if rng.random() < 0.5:
        path, half_way = path.backwards(), path.length - half_way
    speed = float(rng.uniform(0.9, 1.7))
    _walk(rng, site, convoy, clearance, path, half_way - speed * (moment - convoy.times[0]), speed)


def _walk_place(rng: np.random.Generator, road: Road, side: int) -> float:
    """A lateral place on the sidewalk, or beside the road where it has none."""
    inner, outer = road.walks[side]
    if inner == outer:
        return inner + (0.8 if side == 0 else -0.8)
    sign = 1 if side == 0 else -1
    room = max(abs(outer - inner) - 0.7, 0.2)
    return inner + sign * (0.35 + float(rng.uniform(0, 1)) * room)


def add_strollers(
    rng: np.random.Generator, site: Site, convoy: Convoy, clearance: Clearance, density: float
) -> None:
    """About `density` people per 100 m of sidewalk near the ego, walking or standing."""
    ego_xy, _ = convoy.ego_body()
    for road in site.plan.roads:
        near = np.linalg.norm(road.axis.points[:, None] - ego_xy[None, ::20], axis=2).min(1) < 42
        if not near.any():
            continue
        arcs = road.axis.arc[near]
        for side in (0, 1):
            inner, outer = road.walks[side]
            amount = density * len(arcs) * 0.5 / 100 * (1.0 if inner != outer else 0.15)
            for _ in range(int(rng.poisson(amount))):
                _stroll(rng, site, convoy, clearance, road, side, float(rng.choice(arcs)))


def _stroll(
    rng: np.random.Generator,
    site: Site,
    convoy: Convoy,
    clearance: Clearance,
    road: Road,
    side: int,
    arc: float,
) -> None:
    """One to three people together, at `arc` halfway through the scene."""
    stands = rng.random() < 0.25
    speed = float(rng.uniform(0.8, 1.8))
    way = road.axis if rng.random() < 0.5 else road.axis.backwards()
    flip = 1.0 if way is road.axis else -1.0
    middle = way.nearest(road.axis.at(arc))
    for member in range(int(rng.choice([1, 1, 2, 3]))):
        place = flip * _walk_place(rng, road, side)
        if stands:
            xy = way.at(middle + 0.8 * member, place)
            person = make_pedestrian(rng, site.palette, False, _kind(rng))
            site.place(person, xy, float(rng.uniform(-np.pi, np.pi)), WALKABLE, 0.1)
            continue
        half = (convoy.times[-1] - convoy.times[0]) / 2
        start = middle - speed * half + float(rng.uniform(0.0, 0.9)) * member
        ahead = np.arange(start - 1, start + 2 * speed * half + 1, 0.5)
        for _ in range(3):
            if _walk(rng, site, convoy, clearance, Curve(way.at(ahead, place)), 1.0, speed):
                break
            place = flip * _walk_place(rng, road, side)


def _kind(rng: np.random.Generator) -> str:
    return str(rng.choice(["adult", "adult", "adult", "adult", "adult", "child"]))


def _walk(
    rng: np.random.Generator,
    site: Site,
    convoy: Convoy,
    clearance: Clearance,
    path: Curve,
    start: float,
    speed: float,
) -> bool:
    """Add someone who is at arc length `start` of a path when the clock starts, if it is clear."""
    person = make_pedestrian(rng, site.palette, True, _kind(rng))
    times: Array = convoy.times[::_EVERY]
    arcs = np.clip(start + speed * (times - times[0]), 0, path.length)
    xy, yaw = path.at(arcs), path.yaw_at(arcs)
    half = (person.size[0] / 2, person.size[1] / 2)
    if not clearance.grant([Course(xy, yaw, half)], _MARGIN):
        return False
    site.objects.append(WorldObject(person, drive_over(site.ground, times, xy, yaw)))
    return True
