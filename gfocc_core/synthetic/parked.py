"""Vehicles at rest: along the curbs, on the sidewalks, and wherever beside the ego's way."""

from __future__ import annotations

import numpy as np

from gfocc_core.synthetic.cars import make_car
from gfocc_core.synthetic.construction_vehicles import make_construction_vehicle
from gfocc_core.synthetic.curves import unit
from gfocc_core.synthetic.heavy_vehicles import (
    make_bus,
    make_trailer,
    make_truck,
)
from gfocc_core.synthetic.parts import Array, ObjectModel
from gfocc_core.synthetic.site import ROADS, WALKABLE, Site
from gfocc_core.synthetic.streets import Road, open_spans
from gfocc_core.synthetic.two_wheelers import make_bicycle, make_motorcycle

_BESIDE_ZEBRA = 5.0


def park_along_curbs(rng: np.random.Generator, site: Site, occupancy: float) -> None:
    """Fill a share of all parking lanes; two-wheelers stand on the sidewalks."""
    for index, road in enumerate(site.plan.roads):
        spans = open_spans(index, road.axis.length, site.plan.junctions, 5.0)
        zebras = [zebra.arc for zebra in site.plan.zebras if zebra.road == index]
        for side in (0, 1):
            share = float(np.clip(rng.normal(occupancy, 0.25), 0.0, 1.0))
            for low, high in spans:
                if (road.left, road.right)[side].parking:
                    _park_row(rng, site, road, side, (low, high), zebras, share)
                _stand_two_wheelers(rng, site, road, side, (low, high))


def _park_row(
    rng: np.random.Generator,
    site: Site,
    road: Road,
    side: int,
    span: tuple[float, float],
    zebras: list[float],
    share: float,
) -> None:
    sign = 1 if side == 0 else -1
    against = side == 0 and road.backward > 0
    width = (road.left, road.right)[side].parking
    arc = span[0] + float(rng.uniform(0, 4))
    while arc < span[1] - 3:
        if rng.random() > share:
            arc += 5.5
            continue
        model = _parked_vehicle(rng, site)
        middle = arc + model.size[0] / 2
        clear = all(abs(middle - z) > _BESIDE_ZEBRA + model.size[0] / 2 for z in zebras)
        if clear and middle + model.size[0] / 2 < span[1]:
            inset = max(width / 2, model.size[1] / 2 + 0.08) + float(rng.normal(0, 0.04))
            xy = road.axis.at(middle, road.curbs[side] - sign * inset)
            yaw = float(road.axis.yaw_at(middle)) + np.pi * against + float(rng.normal(0, 0.015))
            site.place(model, xy, yaw, ROADS, 0.0, upright=False)
        arc += model.size[0] + float(rng.uniform(0.6, 1.8))


def _parked_vehicle(rng: np.random.Generator, site: Site) -> ObjectModel:
    makers = (make_car, make_truck, make_trailer, make_construction_vehicle, make_bus)
    shares = (0.92, 0.04, 0.015, 0.015, 0.01)
    return makers[int(rng.choice(5, p=shares))](rng, site.palette)


def _stand_two_wheelers(
    rng: np.random.Generator, site: Site, road: Road, side: int, span: tuple[float, float]
) -> None:
    """Groups of bicycles or motorcycles, square to the curb, on the sidewalk's outer part."""
    if not (road.left, road.right)[side].sidewalk:
        return
    sign = 1 if side == 0 else -1
    for _ in range(int(rng.poisson((span[1] - span[0]) / 50))):
        arc, cycles = float(rng.uniform(*span)), rng.random() < 0.55
        place = road.walks[side][0] + sign * 0.6
        for _ in range(int(rng.integers(1, 5))):
            make = make_bicycle if cycles else make_motorcycle
            model = make(rng, site.palette, False)
            yaw = (
                float(road.axis.yaw_at(arc)) + float(rng.choice([0.0, np.pi])) + rng.normal(0, 0.1)
            )
            site.place(model, road.axis.at(arc, place), float(yaw), WALKABLE, 0.02)
            arc += model.size[0] + 0.3


def put_beside_way(
    rng: np.random.Generator, site: Site, near: Array, yaws: Array, model: ObjectModel
) -> bool:
    """Park a vehicle at the right or left of the ego's way, wherever off the lanes it fits."""
    surfaces = WALKABLE | {"lot", "asphalt", "side_asphalt"}
    for _ in range(60):
        k = int(rng.integers(len(near)))
        side = float(rng.choice([-1, 1]))
        yaw = float(yaws[k])
        offset = float(rng.uniform(4, 22))
        xy = near[k] + side * offset * unit(yaw + np.pi / 2)
        if _on_lane(site, xy, model, yaw):
            continue
        if site.place(model, xy, yaw + np.pi * (side > 0), surfaces, 0.15, upright=False):
            return True
    return False


def _on_lane(site: Site, xy: Array, model: ObjectModel, yaw: float) -> bool:
    """Whether a vehicle there would touch any road's travel lanes."""
    half = float(np.hypot(model.size[0], model.size[1])) / 2
    along = np.linspace(-model.size[0] / 2, model.size[0] / 2, 5)[:, None] * unit(yaw)
    for road in site.plan.roads:
        left, right = road.lanes_edge
        axis = road.axis
        distance = np.linalg.norm(axis.points - xy, axis=1)
        if distance.min() > max(left, -right) + half:
            continue
        for point in xy + along:
            k = int(np.linalg.norm(axis.points - point, axis=1).argmin())
            lateral = float((point - axis.points[k]) @ unit(axis.yaws[k] + np.pi / 2))
            if right - model.size[1] / 2 < lateral < left + model.size[1] / 2:
                return True
    return False
