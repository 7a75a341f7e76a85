"""Moving vehicles on all lanes near the ego."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gfocc_core.synthetic.car_following import Driver, drive
from gfocc_core.synthetic.cars import make_car
from gfocc_core.synthetic.clearance import Clearance, Course
from gfocc_core.synthetic.construction_vehicles import make_construction_vehicle
from gfocc_core.synthetic.curves import Curve
from gfocc_core.synthetic.ego_drive import Convoy
from gfocc_core.synthetic.heavy_vehicles import (
    make_bus,
    make_trailer,
    make_truck,
)
from gfocc_core.synthetic.parts import Array, ObjectModel
from gfocc_core.synthetic.relief import drive_over
from gfocc_core.synthetic.site import Site
from gfocc_core.synthetic.street_plan import StreetPlan
from gfocc_core.synthetic.two_wheelers import make_bicycle, make_motorcycle
from gfocc_core.synthetic.world import WorldObject

_EVERY = 2
"""Convoy samples per sample of other vehicles' trajectories."""
_HITCH = 0.9
"""Gap between a truck and its trailer, metres."""
_MARGIN = 0.3
KINDS = ("car", "truck", "bus", "motorcycle", "bicycle", "road_train", "construction")
_SHARES = (0.70, 0.09, 0.05, 0.06, 0.05, 0.04, 0.01)


@dataclass(frozen=True, eq=False)
class _Lane:
    curve: Curve
    speed: float
    stop_line: float
    """Where a red signal holds its traffic; infinite where none does."""


@dataclass(frozen=True, eq=False)
class _Candidate:
    models: tuple[ObjectModel, ...]
    """The vehicle and, behind it, its trailer."""
    driver: Driver
    edge: float
    """How far right of the lane's centre it keeps, metres."""


def add_convoy(rng: np.random.Generator, site: Site, convoy: Convoy, clearance: Clearance) -> None:
    """Turn the convoy's other drivers into vehicles."""
    times = convoy.times[::_EVERY]
    for arcs, length in zip(convoy.others, convoy.lengths, strict=True):
        heavy = length > 6
        model = _fitting(rng, site, length, (make_bus, make_truck) if heavy else (make_car,))
        _grant(site, clearance, times, convoy.route, arcs[::_EVERY], (model,), 0.0)


def _fitting(
    rng: np.random.Generator,
    site: Site,
    length: float,
    makers: tuple[Callable[..., ObjectModel], ...],
) -> ObjectModel:
    make = makers[int(rng.integers(len(makers)))]
    while True:
        model = make(rng, site.palette)
        if model.size[0] <= length:
            return model


def add_traffic(
    rng: np.random.Generator,
    site: Site,
    convoy: Convoy,
    clearance: Clearance,
    density: float,
    wanted: tuple[str, ...],
) -> None:
    """Vehicles that meet the ego somewhere; `wanted` kinds are tried first and most.

    `density` is about how many vehicles per lane come near the ego.
    """
    times = convoy.times[::_EVERY]
    ego_xy, _ = convoy.ego_body()
    lanes = _lanes(rng, site.plan, ego_xy)
    if not lanes:
        return
    kinds = [kind for kind in wanted for _ in range(4)]
    kinds += [str(kind) for kind in rng.choice(KINDS, int(density * len(lanes)) + 1, p=_SHARES)]
    candidates = [
        _candidate(rng, site, lanes, int(rng.integers(len(lanes))), kind, convoy, ego_xy)
        for kind in kinds
    ]
    candidates += _queues(rng, site, lanes)
    candidates = _spaced(candidates)
    track = drive(times, [lane.curve for lane in lanes], [c.driver for c in candidates])
    for candidate, arcs in zip(candidates, track, strict=True):
        curve = lanes[candidate.driver.lane].curve
        _grant(site, clearance, times, curve, arcs, candidate.models, candidate.edge)


def _lanes(rng: np.random.Generator, plan: StreetPlan, ego_xy: Array) -> list[_Lane]:
    """All lanes that come within sight of the ego's way; side streets may have a red signal."""
    lanes = []
    for index, road in enumerate(plan.roads):
        apart = np.linalg.norm(road.axis.points[::8, None] - ego_xy[None, ::20], axis=2)
        if apart.min() > 45:
            continue
        for lane in road.lanes:
            line = np.inf
            if index >= plan.legs and rng.random() < 0.6:
                line = _stop_line(plan, index, lane)
            lanes.append(_Lane(lane, road.speed, line))
    return lanes


def _stop_line(plan: StreetPlan, index: int, lane: Curve) -> float:
    """Arc length on a lane before the first junction with one of the ego's roads."""
    for junction in plan.junctions:
        for k in (0, 1):
            if junction.roads[k] == index and junction.roads[1 - k] < plan.legs:
                arc = lane.nearest(plan.roads[index].axis.at(junction.arcs[k]))
                zebra = max((z.width for z in plan.zebras if z.road == index), default=0.0)
                return arc - junction.reach[k] - zebra - 1.2
    return np.inf


def _candidate(
    rng: np.random.Generator,
    site: Site,
    lanes: list[_Lane],
    lane: int,
    kind: str,
    convoy: Convoy,
    ego_xy: Array,
) -> _Candidate:
    """A vehicle that is near the ego at some moment, traced back to the start."""
    curve = lanes[lane].curve
    cruise = float(np.clip(lanes[lane].speed * rng.uniform(0.75, 1.15), 2.5, 14.0))
    if kind == "bicycle":
        cruise = float(rng.uniform(3.0, 6.0))
    moment = int(rng.integers(len(convoy.times)))
    meets = curve.nearest(ego_xy[moment]) + float(rng.uniform(-30, 30))
    start = meets - cruise * (convoy.times[moment] - convoy.times[0])
    start = float(np.clip(start, -70.0, max(curve.length - 10.0, 0.0)))
    models = _vehicles(rng, site, kind)
    rear = models[0].size[0] / 2
    if len(models) > 1:
        rear += _HITCH + models[1].size[0]
    line = lanes[lane].stop_line
    front = models[0].size[0] / 2
    if start + front > line:
        line = np.inf
    driver = Driver(lane, start, cruise, front, rear, line)
    return _Candidate(models, driver, 1.15 if kind == "bicycle" else 0.0)


def _vehicles(rng: np.random.Generator, site: Site, kind: str) -> tuple[ObjectModel, ...]:
    palette = site.palette
    if kind == "bicycle":
        return (make_bicycle(rng, palette, True),)
    if kind == "motorcycle":
        return (make_motorcycle(rng, palette, True),)
    if kind == "road_train":
        return make_truck(rng, palette), make_trailer(rng, palette)
    makers = {
        "car": make_car,
        "truck": make_truck,
        "bus": make_bus,
        "construction": make_construction_vehicle,
    }
    return (makers[kind](rng, palette),)


def _queues(rng: np.random.Generator, site: Site, lanes: list[_Lane]) -> list[_Candidate]:
    """Cars that already wait at red signals."""
    waiting = []
    for index, lane in enumerate(lanes):
        at = lane.stop_line
        for _ in range(int(rng.integers(0, 4)) if np.isfinite(at) else 0):
            model = make_car(rng, site.palette)
            half = model.size[0] / 2
            start = at - half - 0.3
            if start < 0:
                break
            driver = Driver(index, start, 8.0, half, half, lane.stop_line, from_rest=True)
            waiting.append(_Candidate((model,), driver, 0.0))
            at = start - half - float(rng.uniform(1.2, 2.5))
    return waiting


def _spaced(candidates: list[_Candidate]) -> list[_Candidate]:
    """Those that start with room to the ones before them in the list on the same lane."""
    kept: list[_Candidate] = []
    for new in candidates:
        a = new.driver
        if all(
            a.lane != b.driver.lane
            or a.start - a.rear - b.driver.front - b.driver.start > 4
            or b.driver.start - b.driver.rear - a.front - a.start > 4
            for b in kept
        ):
            kept.append(new)
    return kept


def _grant(
    site: Site,
    clearance: Clearance,
    times: Array,
    lane: Curve,
    arcs: Array,
    models: tuple[ObjectModel, ...],
    edge: float,
) -> None:
    """Add the vehicle, with its trailer, if its course is clear."""
    courses, behind = [], 0.0
    for index, model in enumerate(models):
        if index:
            behind += models[index - 1].size[0] / 2 + _HITCH + model.size[0] / 2
        yaw = lane.yaw_at(arcs - behind)
        courses.append(
            Course(lane.at(arcs - behind, -edge), yaw, (model.size[0] / 2, model.size[1] / 2))
        )
    if not clearance.grant(courses, _MARGIN):
        return
    for model, course in zip(models, courses, strict=True):
        path = drive_over(site.ground, times, course.xy, course.yaw)
        site.objects.append(WorldObject(model, path))
