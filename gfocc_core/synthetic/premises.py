"""Builds on the plots: houses with gardens, towers, yards, car parks, squares, building sites."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gfocc_core.synthetic.buildings import make_fence, make_hall, make_house, make_tower, make_wall
from gfocc_core.synthetic.cars import make_car
from gfocc_core.synthetic.construction_vehicles import make_construction_vehicle
from gfocc_core.synthetic.heavy_vehicles import (
    make_bus,
    make_trailer,
    make_truck,
)
from gfocc_core.synthetic.palettes import pick
from gfocc_core.synthetic.parts import Array, ObjectModel
from gfocc_core.synthetic.people import make_pedestrian
from gfocc_core.synthetic.plants import make_bush, make_hedge, make_tree
from gfocc_core.synthetic.plots import Plot
from gfocc_core.synthetic.shapes import box
from gfocc_core.synthetic.site import SOFT, WALKABLE, Site
from gfocc_core.synthetic.small_things import make_barrier, make_cone, make_other
from gfocc_core.synthetic.street_furniture import make_billboard, make_curb_box

_LOT = frozenset({"lot"})
_INSIDE = WALKABLE | _LOT
_Maker = Callable[..., ObjectModel]


def build_premises(rng: np.random.Generator, site: Site, plots: tuple[Plot, ...]) -> None:
    """Fill every plot by its use."""
    fillers = {
        "tower": _tower,
        "house": _house,
        "lot": _lot,
        "plaza": _plaza,
        "yard": _yard,
        "park": _park,
        "site": _building_site,
        "open": _open,
    }
    for plot in plots:
        fillers[plot.use](rng, site, plot)


def _erect(
    rng: np.random.Generator,
    site: Site,
    plot: Plot,
    make: _Maker,
    floor: tuple[float, float],
    setback: float,
    height: float,
) -> None:
    """A building whose front stands `setback` metres behind the plot's front."""
    y = (setback + floor[1] / 2) / plot.depth * 2 - 1
    xy = plot.at(0.0, y)
    model = make(rng, site.palette, floor, height, site.sink(xy, plot.yaw, floor))
    site.place(model, xy, plot.yaw, _INSIDE, margin=-0.6)


def _tower(rng: np.random.Generator, site: Site, plot: Plot) -> None:
    setback = min(float(rng.uniform(*site.district.setback)) + 0.9, plot.depth * 0.3)
    floor = (plot.frontage - 0.6, min(plot.depth - setback - 0.5, float(rng.uniform(9, 18))))
    _erect(rng, site, plot, make_tower, floor, setback, float(rng.uniform(*site.district.heights)))
    _scatter(rng, site, plot, ((make_tree, 0.7, 0.9),), 2)


def _house(rng: np.random.Generator, site: Site, plot: Plot) -> None:
    setback = min(float(rng.uniform(*site.district.setback)) + 1.6, plot.depth * 0.4)
    floor = (
        plot.frontage * float(rng.uniform(0.55, 0.85)),
        min(plot.depth - setback - 1.0, float(rng.uniform(7, 11))),
    )
    _erect(rng, site, plot, make_house, floor, setback, float(rng.uniform(*site.district.heights)))
    if rng.random() < 0.55:
        _enclose(rng, site, plot)
    _scatter(rng, site, plot, ((make_tree, 0.45, 0.9), (make_bush, 0.6, 0.2)), 5)


def _enclose(rng: np.random.Generator, site: Site, plot: Plot) -> None:
    """Hedge, fence or wall along the front, with a gap for the door."""
    kind, height = int(rng.integers(3)), float(rng.uniform(0.8, 1.8))
    color = pick(rng, site.palette.bricks if kind == 2 else site.palette.barks)
    gap = float(rng.uniform(-0.5, 0.5))
    pieces = max(int(plot.frontage / 4), 1)
    for piece in range(pieces):
        x = (piece + 0.5) / pieces * 2 - 1
        if abs(x - gap) < 1.0 / pieces + 0.12:
            continue
        length = plot.frontage / pieces
        if kind == 0:
            model = make_hedge(rng, site.palette, length, height)
        elif kind == 1:
            model = make_fence(color, length, height)
        else:
            model = make_wall(rng, color, "brick", length, min(height, 1.4))
        site.place(model, plot.at(x, -0.93), plot.yaw, WALKABLE, 0.0, upright=False)


def _lot(rng: np.random.Generator, site: Site, plot: Plot) -> None:
    """A car park, its bays square to the road; heavy vehicles in some."""
    heavy = rng.random() < 0.4
    pitch = 3.6 if heavy else 2.7
    bays = int((plot.frontage - 2) / pitch)
    full = float(rng.uniform(0.4, 0.9))
    rows = ((0.35,) if plot.depth < 18 else (-0.4, 0.55)) if not heavy else (0.15,)
    for row in rows:
        for bay in range(bays):
            if rng.random() > full:
                continue
            x = ((bay + 0.5) * pitch - bays * pitch / 2) / plot.frontage * 2
            make = _heavy(rng) if heavy else make_car
            model = make(rng, site.palette)
            yaw = (
                plot.yaw
                + np.pi / 2 * (1 if rng.random() < 0.6 else -1)
                + float(rng.normal(0, 0.02))
            )
            site.place(model, plot.at(x, row), yaw, _LOT, 0.12, upright=False)
    _scatter(rng, site, plot, ((make_tree, 0.3, 0.9), (make_bush, 0.4, 0.2)), 3)


def _heavy(rng: np.random.Generator) -> _Maker:
    makers: tuple[_Maker, ...] = (
        make_truck,
        make_trailer,
        make_bus,
        make_construction_vehicle,
        make_car,
    )
    return makers[int(rng.choice(5, p=(0.3, 0.25, 0.15, 0.2, 0.1)))]


def _plaza(rng: np.random.Generator, site: Site, plot: Plot) -> None:
    for _ in range(int(rng.integers(2, 8))):
        kind = str(rng.choice(["adult", "adult", "adult", "child"]))
        person = make_pedestrian(rng, site.palette, False, kind)
        xy = plot.at(*rng.uniform(-0.9, 0.9, 2))
        site.place(person, xy, float(rng.uniform(-np.pi, np.pi)), WALKABLE, 0.15)
    things = ((make_tree, 0.4, 0.9), (make_curb_box, 0.5, 0.0), (make_other, 0.3, 0.0))
    _scatter(rng, site, plot, things, 4)


def _yard(rng: np.random.Generator, site: Site, plot: Plot) -> None:
    """A hall at the back, vehicles and containers before it."""
    floor = (
        plot.frontage * float(rng.uniform(0.6, 0.95)),
        plot.depth * float(rng.uniform(0.3, 0.45)),
    )
    setback = plot.depth - floor[1] - 0.8
    _erect(rng, site, plot, make_hall, floor, setback, float(rng.uniform(*site.district.heights)))
    for _ in range(int(rng.integers(1, 5))):
        xy = plot.at(float(rng.uniform(-0.8, 0.8)), float(rng.uniform(-0.75, 0.2)))
        yaw = plot.yaw + float(rng.choice([0, np.pi / 2, -np.pi / 2, np.pi]))
        if rng.random() < 0.2:
            site.place(_container(rng, site), xy, yaw, _LOT, 0.2)
        else:
            site.place(_heavy(rng)(rng, site.palette), xy, yaw, _LOT, 0.25, upright=False)
    if rng.random() < 0.5:
        color = pick(rng, site.palette.metals)
        for x in np.arange(-plot.frontage / 2 + 1.6, plot.frontage / 2 - 1.5, 3.1):
            if abs(x) > 5.0:
                place = plot.at(float(x) / plot.frontage * 2, -0.99)
                site.place(
                    make_fence(color, 3.0, 2.0), place, plot.yaw, _INSIDE, 0.0, upright=False
                )


def _container(rng: np.random.Generator, site: Site) -> ObjectModel:
    color = pick(rng, site.palette.freight)
    return ObjectModel(15, (box((0, 0, 1.25), (6.0, 2.4, 2.7), color, "metal"),))


def _park(rng: np.random.Generator, site: Site, plot: Plot) -> None:
    trees = int(plot.frontage * plot.depth / float(rng.uniform(40, 110)))
    things = ((make_tree, 0.75, 0.9), (make_bush, 0.5, 0.2), (make_other, 0.05, 0.0))
    _scatter(rng, site, plot, things, min(trees, 12))


def _building_site(rng: np.random.Generator, site: Site, plot: Plot) -> None:
    """Machines on bare soil behind barriers and cones; workers among them."""
    kind = str(rng.choice(["jersey", "plastic", "board"]))
    for x in np.arange(-plot.frontage / 2 + 1.4, plot.frontage / 2 - 1.2, 2.9):
        place = plot.at(float(x) / plot.frontage * 2, -0.95)
        if abs(x) > 3.2:
            model = make_barrier(rng, site.palette, kind)
            site.place(model, place, plot.yaw + np.pi / 2, SOFT, 0.0, upright=False)
        elif rng.random() < 0.6:
            site.place(make_cone(rng, site.palette), place, 0.0, _INSIDE, 0.0)
    for _ in range(int(rng.integers(1, 4))):
        machine = make_construction_vehicle(rng, site.palette)
        xy = plot.at(*rng.uniform((-0.7, -0.6), (0.7, 0.6)))
        yaw = float(rng.uniform(-np.pi, np.pi))
        site.place(machine, xy, yaw, SOFT, 0.2, upright=False)
    for _ in range(int(rng.integers(1, 5))):
        worker = make_pedestrian(rng, site.palette, False, "construction_worker")
        xy = plot.at(*rng.uniform(-0.8, 0.8, 2))
        site.place(worker, xy, float(rng.uniform(-np.pi, np.pi)), SOFT, 0.15)
    if rng.random() < 0.6:
        site.place(_container(rng, site), plot.at(0.0, 0.7), plot.yaw, SOFT, 0.2)
    _scatter(rng, site, plot, ((make_other, 0.4, 0.0),), 3)


def _open(rng: np.random.Generator, site: Site, plot: Plot) -> None:
    _scatter(rng, site, plot, ((make_tree, 0.2, 0.9), (make_bush, 0.5, 0.2)), 4)
    if rng.random() < 0.3:
        board = make_billboard(rng, site.palette)
        site.place(board, plot.at(0.0, -0.7), plot.yaw - np.pi / 2, WALKABLE, 0.1)


def _scatter(
    rng: np.random.Generator,
    site: Site,
    plot: Plot,
    things: tuple[tuple[_Maker, float, float], ...],
    tries: int,
) -> None:
    """(maker, chance per try, foot in metres or 0 for the whole size) at random places."""
    for make, chance, foot in things:
        for _ in range(tries):
            if rng.random() > chance:
                continue
            xy: Array = plot.at(*rng.uniform(-0.92, 0.92, 2))
            model = _grow(rng, site, make)
            if foot and site.over_road(xy, max(model.size[:2]) / 2):
                continue
            reach = max(foot, 0.45 * model.size[0]) if foot else 0.0
            site.place(model, xy, float(rng.uniform(-np.pi, np.pi)), WALKABLE, 0.05, foot=reach)


def _grow(rng: np.random.Generator, site: Site, make: _Maker) -> ObjectModel:
    if make is make_tree:
        return make_tree(rng, site.palette, float(rng.uniform(4, 11)))
    if make is make_bush:
        return make_bush(rng, site.palette, float(rng.uniform(0.6, 1.9)))
    return make(rng, site.palette)
