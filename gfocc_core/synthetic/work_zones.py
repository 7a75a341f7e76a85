"""Work zones that narrow the road: barriers, tapers of cones, a machine and its crew."""

from __future__ import annotations

import numpy as np

from gfocc_core.synthetic.construction_vehicles import make_construction_vehicle
from gfocc_core.synthetic.parts import Array, ObjectModel
from gfocc_core.synthetic.people import make_pedestrian
from gfocc_core.synthetic.site import ANYWHERE, Site
from gfocc_core.synthetic.small_things import make_barrier, make_cone, make_other
from gfocc_core.synthetic.streets import Road, open_spans

_TAPER = 8.0
"""Length of the cones at either end of a work zone, metres."""


def open_work_zone(rng: np.random.Generator, site: Site, near: Array) -> bool:
    """Fence off a stretch of curb (parking lane, verge, part of the sidewalk or a lane).

    `near` [K, 2] are places of the ego's way; one is picked. Where the ego's lane would be
    touched things are left out; returns whether enough of the zone stands.
    """
    spot = near[int(rng.integers(len(near)))]
    leg = min(
        range(site.plan.legs),
        key=lambda k: float(np.linalg.norm(site.plan.roads[k].axis.points - spot, axis=1).min()),
    )
    road = site.plan.roads[leg]
    side = int(rng.integers(2))
    sign = 1 if side == 0 else -1
    length = float(rng.uniform(12, 26))
    start = road.axis.nearest(spot) - length * float(rng.uniform(0.0, 1.0))
    spans = open_spans(leg, road.axis.length, site.plan.junctions, _TAPER)
    if not any(first < start and start + length < last for first, last in spans):
        return False
    curb = road.curbs[side]
    takes_lane = rng.random() < 0.5
    inner = curb - sign * (float(rng.uniform(2.6, 3.2)) if takes_lane else 1.6)
    outer = curb + sign * float(rng.uniform(1.0, 2.5))
    low, high = min(inner, outer), max(inner, outer)
    before = len(site.objects)
    kind = str(rng.choice(["jersey", "plastic", "board"]))
    for arc in np.arange(start, start + length, 2.95):
        _set(site, make_barrier(rng, site.palette, kind), road, arc, inner, np.pi / 2)
    for end, outward in ((start, -1), (start + length, 1)):
        for step in range(5):
            arc = end + outward * (1.2 + 1.5 * step)
            place = inner + (curb - sign * 0.4 - inner) * (step + 0.5) / 5
            _set(site, make_cone(rng, site.palette), road, arc, place, 0.0)
    middle = start + length * float(rng.uniform(0.3, 0.7))
    machine = make_construction_vehicle(rng, site.palette)
    if rng.random() < 0.75:
        deep = inner + sign * (0.6 + machine.size[1] / 2)
        _set(site, machine, road, middle, deep, float(rng.choice([0, np.pi])))
    for _ in range(int(rng.integers(1, 4))):
        worker = make_pedestrian(rng, site.palette, False, "construction_worker")
        arc, place = rng.uniform(start, start + length), rng.uniform(low, high)
        _set(site, worker, road, float(arc), float(place), float(rng.uniform(-np.pi, np.pi)))
    for _ in range(2):
        arc, place = rng.uniform(start, start + length), rng.uniform(low, high)
        _set(site, make_other(rng, site.palette), road, float(arc), float(place), 0.0)
    return len(site.objects) - before >= 5


def _set(
    site: Site, model: ObjectModel, road: Road, arc: float, place: float, turned: float
) -> None:
    yaw = float(road.axis.yaw_at(arc)) + turned
    site.place(model, road.axis.at(arc, place), yaw, ANYWHERE, 0.02, upright=False)
