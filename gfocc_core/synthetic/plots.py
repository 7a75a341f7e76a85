"""Divides the land beside the roads into plots and paints what each is used for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gfocc_core.synthetic.curves import unit
from gfocc_core.synthetic.districts import District
from gfocc_core.synthetic.ground_labels import Canvas, outline
from gfocc_core.synthetic.parts import Array
from gfocc_core.synthetic.room import Room, footprint
from gfocc_core.synthetic.site import RESERVED, SOFT
from gfocc_core.synthetic.street_plan import StreetPlan
from gfocc_core.synthetic.streets import Road

USES = ("tower", "house", "lot", "plaza", "yard", "park", "site", "open")
_DEPTHS = {
    **{"tower": (14.0, 26.0), "house": (14.0, 22.0), "lot": (14.0, 26.0), "plaza": (10.0, 22.0)},
    **{"yard": (24.0, 40.0), "park": (12.0, 30.0), "site": (12.0, 24.0), "open": (10.0, 26.0)},
}


@dataclass(frozen=True, eq=False)
class Plot:
    """A rectangle beside a road; its frame's x runs along the road, y away from it."""

    use: str
    center: Array
    yaw: float
    frontage: float
    depth: float

    def at(self, x: float, y: float) -> Array:
        """World point [2] of a place in the plot; x and y from -1 to 1 span it."""
        return self.center + (
            unit(self.yaw) * x * self.frontage / 2 + unit(self.yaw + np.pi / 2) * y * self.depth / 2
        )


def divide_land(
    rng: np.random.Generator, plan: StreetPlan, district: District, room: Room
) -> tuple[Plot, ...]:
    """Plots along all roads, painted onto the room's canvas and reserved in it."""
    plots: list[Plot] = []
    lawn = "sidewalk" if district.name == "downtown" else "grass"
    for road in plan.roads:
        for side in (0, 1):
            arc = float(rng.uniform(0, 6))
            while arc < road.axis.length:
                frontage = float(rng.uniform(*district.frontage))
                use = _use(rng, district)
                plot = _fit(rng, road, side, arc, frontage, use, room)
                if plot is None:
                    frontage = district.frontage[0] * 0.8
                    plot = _fit(rng, road, side, arc, frontage, use, room)
                if plot is None:
                    arc += 3.0
                    continue
                _paint(rng, room.canvas, road, side, arc + frontage / 2, plot, lawn)
                plots.append(plot)
                arc += frontage + (float(rng.uniform(0, 4)) if rng.random() < 0.5 else 0.0)
    return tuple(plots)


def _use(rng: np.random.Generator, district: District) -> str:
    weights = np.array([district.plots[use] for use in USES])
    return USES[int(rng.choice(len(USES), p=weights / weights.sum()))]


def _fit(
    rng: np.random.Generator,
    road: Road,
    side: int,
    arc: float,
    frontage: float,
    use: str,
    room: Room,
) -> Plot | None:
    """A plot behind the sidewalk, set back or shallower where the road bends towards it."""
    sign = 1 if side == 0 else -1
    middle = arc + frontage / 2
    edge = abs(road.walks[side][1])
    away = float(road.axis.yaw_at(middle)) + sign * np.pi / 2
    depth = float(rng.uniform(*_DEPTHS[use]))
    for back, share in ((0.3, 1.0), (1.5, 0.8), (3.0, 0.6)):
        deep = depth * share
        center = road.axis.at(middle, sign * (edge + back + deep / 2))
        plot = Plot(use, center, away - np.pi / 2, frontage, deep)
        if room.claim(footprint(center, plot.yaw, frontage, deep), SOFT, RESERVED):
            return plot
    return None


def _paint(
    rng: np.random.Generator,
    canvas: Canvas,
    road: Road,
    side: int,
    middle: float,
    plot: Plot,
    lawn: str,
) -> None:
    whole = footprint(plot.center, plot.yaw, plot.frontage, plot.depth)
    if plot.use == "tower":
        canvas.fill(whole, lawn if rng.random() < 0.8 else "plaza")
    elif plot.use in ("lot", "yard"):
        canvas.fill(footprint(plot.center, plot.yaw, plot.frontage - 1, plot.depth - 1), "lot")
        _driveway(canvas, road, side, middle, plot, 6.0)
    elif plot.use == "plaza":
        canvas.fill(whole, "plaza")
    elif plot.use == "site":
        canvas.fill(whole, str(rng.choice(["dirt", "gravel", "sand"])))
        _driveway(canvas, road, side, middle, plot, 5.0)
    elif plot.use == "open":
        if rng.random() < 0.4:
            canvas.fill(whole, str(rng.choice(["grass", "dirt", "gravel", "sand"])))
    elif plot.use == "house":
        canvas.fill(whole, "grass")
        door = plot.at(float(rng.uniform(-0.3, 0.3)), -0.75)
        canvas.fill(footprint(door, plot.yaw, 1.2, plot.depth * 0.25), "sidewalk")
    else:
        canvas.fill(whole, "grass")
        if rng.random() < 0.5:
            bend = float(rng.uniform(-0.5, 0.5)) * min(plot.depth / plot.frontage, 1.0)
            along = plot.frontage - 2.5
            canvas.fill(footprint(plot.center, plot.yaw + bend, along, 1.8), "sidewalk")
            canvas.fill(footprint(plot.center, plot.yaw, 1.8, plot.depth), "sidewalk")


def _driveway(
    canvas: Canvas, road: Road, side: int, middle: float, plot: Plot, width: float
) -> None:
    """From the curb across the sidewalk to the plot."""
    sign = 1 if side == 0 else -1
    back = sign * (abs(road.walks[side][1]) + 3.5)
    span = (middle - width / 2, middle + width / 2)
    canvas.fill(outline(road.axis, (road.curbs[side], back), span), "lot")
