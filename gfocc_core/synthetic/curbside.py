"""What stands between the roads and the plots, and what fills the land behind them."""

from __future__ import annotations

import cv2
import numpy as np

from gfocc_core.synthetic.buildings import make_hall, make_house, make_tower
from gfocc_core.synthetic.ground_labels import DRIVEABLE
from gfocc_core.synthetic.parts import Array
from gfocc_core.synthetic.plants import make_bush, make_street_tree, make_tree
from gfocc_core.synthetic.site import SOFT, WALKABLE, Site
from gfocc_core.synthetic.small_things import make_other
from gfocc_core.synthetic.street_furniture import (
    make_curb_box,
    make_shelter,
    make_sign,
    make_street_light,
    make_traffic_light,
)
from gfocc_core.synthetic.streets import Road, Side


def furnish_curbs(rng: np.random.Generator, site: Site) -> None:
    """Lamps, trees, signs and boxes along every curb; signals at junctions."""
    signals = rng.random() < 0.6
    lamps, trees = float(rng.uniform(20, 38)), float(rng.uniform(7, 14))
    leafy = [bool(rng.random() < site.district.trees) for _ in range(2)]
    for road in site.plan.roads:
        for index, side in enumerate((road.left, road.right)):
            _line_with(rng, site, road, index, lamps, "lamp")
            if leafy[index] and (side.verge or side.sidewalk > 1.9):
                _line_with(rng, site, road, index, trees, "tree")
            _line_with(rng, site, road, index, 26.0, "sign")
            if side.sidewalk:
                _line_with(rng, site, road, index, 19.0, "box")
                _line_with(rng, site, road, index, 80.0, "other")
                if site.district.name != "industrial":
                    _line_with(rng, site, road, index, 120.0, "shelter")
    if signals:
        _signal_junctions(rng, site)


def _line_with(
    rng: np.random.Generator, site: Site, road: Road, index: int, pitch: float, what: str
) -> None:
    """Things every `pitch` metres or so on one side of a road."""
    sign = 1 if index == 0 else -1
    side = (road.left, road.right)[index]
    arc = float(rng.uniform(0, pitch))
    while arc < road.axis.length:
        at_back = what in ("shelter", "other") or (what == "box" and rng.random() < 0.4)
        place = _place(road, index, side, at_back)
        xy = road.axis.at(arc, place)
        to_road = float(road.axis.yaw_at(arc)) - sign * np.pi / 2
        if what == "lamp":
            reach = abs(place) - abs(road.curbs[index]) + 1.2
            site.place(make_street_light(rng, site.palette, reach), xy, to_road, WALKABLE, foot=0.4)
        elif what == "tree":
            _plant(rng, site, xy, abs(place) - abs(road.lanes_edge[index]))
        elif what == "sign":
            site.place(make_sign(rng, site.palette), xy, to_road + sign * np.pi / 2, WALKABLE, 0.0)
        elif what == "box":
            site.place(make_curb_box(rng, site.palette), xy, to_road, WALKABLE, 0.0)
        elif what == "other":
            site.place(make_other(rng, site.palette), xy, to_road, WALKABLE, 0.0)
        else:
            site.place(make_shelter(rng, site.palette), xy, to_road, WALKABLE, 0.0)
        arc += pitch * float(rng.uniform(0.6, 1.4))


def _place(road: Road, index: int, side: Side, at_back: bool) -> float:
    """Lateral place of curbside things: in the verge, at the curb, or at the walk's back."""
    sign = 1 if index == 0 else -1
    if at_back and side.sidewalk:
        return road.walks[index][1] - sign * 0.1
    if side.verge:
        return road.curbs[index] + sign * side.verge / 2
    return road.curbs[index] + sign * (0.45 if side.sidewalk else 1.0)


def _plant(rng: np.random.Generator, site: Site, xy: Array, from_lane: float) -> None:
    """A tree whose crown stays clear of the lane, beside it or above its traffic."""
    if from_lane > 2.2 and rng.random() < 0.6:
        height = min(float(rng.uniform(4.5, 8.0)), from_lane / 0.42)
        model = make_street_tree(rng, site.palette, height, max(2.3, height * 0.3))
    else:
        model = make_street_tree(rng, site.palette, float(rng.uniform(8.5, 12.5)), 4.3)
    site.place(model, xy, float(rng.uniform(-np.pi, np.pi)), WALKABLE, foot=0.7)


def _signal_junctions(rng: np.random.Generator, site: Site) -> None:
    """One signal per arm, right of the traffic it stops."""
    for junction in site.plan.junctions:
        for k in (0, 1):
            road = site.plan.roads[junction.roads[k]]
            for index, ahead in ((1, -1), (0, 1)):
                if index == 0 and not road.backward:
                    continue
                sign = 1 if index == 0 else -1
                arc = junction.arcs[k] + ahead * (junction.reach[k] + 0.5)
                side = (road.left, road.right)[index]
                xy = road.axis.at(arc, _place(road, index, side, False) + sign * 0.2)
                to_road = float(road.axis.yaw_at(arc)) - sign * np.pi / 2
                reach = abs(road.curbs[index]) * 0.6 if rng.random() < 0.4 else 0.0
                model = make_traffic_light(rng, site.palette, reach)
                site.place(model, xy, to_road, WALKABLE, foot=0.4)


def fill_background(rng: np.random.Generator, site: Site) -> None:
    """Buildings and trees on the land behind the plots, as far as the map reaches."""
    room = site.room
    coarse = 4
    surfaces = room.canvas.surfaces[:: 2 * coarse, :: 2 * coarse]
    taken = room.taken[::coarse, ::coarse][: surfaces.shape[0], : surfaces.shape[1]]
    clear = ((taken == 0) & ~np.isin(surfaces, DRIVEABLE)).astype(np.uint8)
    away = cv2.distanceTransform(clear, cv2.DIST_L2, 3) * room.cell * coarse
    pitch = float(rng.uniform(7.5, 12))
    rows, columns = away.shape
    built = float(rng.uniform(0.2, 0.7))
    for y in np.arange(pitch / 2, rows * room.cell * coarse, pitch):
        for x in np.arange(pitch / 2, columns * room.cell * coarse, pitch):
            spot = np.array([x, y]) + rng.uniform(-0.35, 0.35, 2) * pitch
            cell = np.clip((spot / (room.cell * coarse)).astype(int), 0, (columns - 1, rows - 1))
            free = float(away[cell[1], cell[0]])
            xy = spot + np.asarray(room.canvas.lower)
            yaw = float(rng.uniform(-np.pi, np.pi))
            if free > 7 and rng.random() < built:
                edge = min(free * 1.3, float(rng.uniform(9, 22)))
                floor = (edge, edge * float(rng.uniform(0.6, 1.0)))
                make = (make_tower, make_house, make_hall)[int(rng.choice(3, p=(0.5, 0.3, 0.2)))]
                height = float(rng.uniform(*site.district.heights)) * float(rng.uniform(0.9, 1.4))
                depth = site.sink(xy, yaw, floor)
                site.place(make(rng, site.palette, floor, height, depth), xy, yaw, SOFT, -0.6)
            elif free > 2 and rng.random() < 0.6:
                tree = make_tree(rng, site.palette, float(rng.uniform(5, 13)))
                if not site.over_road(xy, max(tree.size[:2]) / 2):
                    site.place(tree, xy, yaw, SOFT, foot=min(2.0, 0.4 * tree.size[0]))
            elif free > 1 and rng.random() < 0.4:
                site.place(
                    make_bush(rng, site.palette, float(rng.uniform(0.6, 2.0))), xy, yaw, SOFT
                )
