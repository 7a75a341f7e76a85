"""Builds one scene of the driving world from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from gfocc_core.synthetic.clearance import Clearance, Course
from gfocc_core.synthetic.construction_vehicles import make_construction_vehicle
from gfocc_core.synthetic.curbside import fill_background, furnish_curbs
from gfocc_core.synthetic.daylight import make_lighting
from gfocc_core.synthetic.districts import DISTRICTS
from gfocc_core.synthetic.ego_drive import LENGTH, WIDTH, Convoy, plan_drive, swept_area
from gfocc_core.synthetic.ground_colors import color_ground
from gfocc_core.synthetic.ground_labels import SURFACE_INDEX, SURFACE_LABELS, Canvas, paint_streets
from gfocc_core.synthetic.ground_marks import Marks, draw_marks
from gfocc_core.synthetic.heavy_vehicles import (
    make_bus,
    make_trailer,
    make_truck,
)
from gfocc_core.synthetic.palettes import PALETTES, Palette, ground_tones
from gfocc_core.synthetic.parked import park_along_curbs, put_beside_way
from gfocc_core.synthetic.plots import Plot, divide_land
from gfocc_core.synthetic.premises import build_premises
from gfocc_core.synthetic.relief import drive_over, make_heights
from gfocc_core.synthetic.room import Room
from gfocc_core.synthetic.site import ANYWHERE, EGO_WAY, Site
from gfocc_core.synthetic.street_plan import StreetPlan, plan_streets
from gfocc_core.synthetic.traffic import add_convoy, add_traffic
from gfocc_core.synthetic.walkers import add_crossing_people, add_strollers
from gfocc_core.synthetic.work_zones import open_work_zone
from gfocc_core.synthetic.world import Ground, World

_HEIGHT_SPACING = 2.0
_LONGEST = 60.0
"""Seconds; the map of a longer drive would need hundreds of megabytes."""


@dataclass(frozen=True)
class WorldConfig:
    """What scenes are like on average; one scene draws around it."""

    max_slope: float = 0.05
    """Steepest the ground may be; many scenes are flatter."""
    border: float = 70.0
    """Metres of land around the ego's way."""
    ground_resolution: float = 0.125
    """Edge of the ground's pixels, metres."""
    traffic: float = 8.0
    """Moving vehicles tried per lane near the ego."""
    parking: float = 0.6
    """Share of the parking lanes in use."""
    pedestrians: float = 5.0
    """People per 100 m of sidewalk."""
    stops: float = 0.5
    """Chance that the ego stops at a crossing or junction on its way, where there is one."""
    rarities: float = 0.6
    """Chance of each rare kind (bus, trailer, construction vehicle, motorcycle, bicycle, work
    zone) to be put near the ego's way on purpose."""

    def __post_init__(self) -> None:
        for name, low, high in (
            *(("max_slope", 0.0, 0.15), ("border", 45.0, 200.0), ("ground_resolution", 0.05, 0.5)),
            *(("traffic", 0.0, 40.0), ("parking", 0.0, 1.0), ("pedestrians", 0.0, 50.0)),
            *(("stops", 0.0, 1.0), ("rarities", 0.0, 1.0)),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} must lie in [{low}, {high}], got {value}")


_DEFAULT = WorldConfig()


def build_world(
    name: str,
    seed: int,
    duration_s: float,
    config: WorldConfig = _DEFAULT,
    palette: Literal["train", "val"] = "train",
) -> World:
    """One scene; the ego's drive covers -1 s to duration_s + 1 s. Equal arguments, equal worlds.

    Raises ValueError for a duration that is not positive and for an unknown palette.
    """
    if not 0 < duration_s <= _LONGEST:
        raise ValueError(f"duration_s must lie in (0, {_LONGEST}], got {duration_s}")
    if palette not in PALETTES:
        raise ValueError(f"palette must be one of {sorted(PALETTES)}, got {palette!r}")
    colors = PALETTES[palette]
    streams = np.random.SeedSequence([seed, sorted(PALETTES).index(palette)]).spawn(8)
    streets, driving, land, look, things, parking, moving, light = (
        np.random.default_rng(stream) for stream in streams
    )
    district = DISTRICTS[int(streets.integers(len(DISTRICTS)))]
    cruise = float(streets.uniform(*district.speed))
    plan = plan_streets(streets, district, cruise * (duration_s + 2) + 15)
    convoy = plan_drive(driving, plan, duration_s, cruise, config.stops)
    canvas = _canvas(convoy, config)
    canvas.surfaces[:] = SURFACE_INDEX[
        str(land.choice(["grass", "grass", "grass", "grass", "dirt"]))
    ]
    paint_streets(canvas, land, plan, swept_area(convoy, 0.4))
    room = Room.over(canvas)
    for corners in swept_area(convoy, 0.5):
        room.claim(corners, ANYWHERE, EGO_WAY, (0, EGO_WAY))
    plots = divide_land(land, plan, district, room)
    ground = _ground(look, canvas, plan, colors, config)
    site = Site(plan, district, colors, ground, room)
    _stand_things(things, parking, site, convoy, plots, config)
    _move_things(moving, site, convoy, config)
    ego = drive_over(ground, convoy.times, plan.route.at(convoy.ego), plan.route.yaw_at(convoy.ego))
    return World(name, ground, tuple(site.objects), ego, make_lighting(light), seed)


def _canvas(convoy: Convoy, config: WorldConfig) -> Canvas:
    way = convoy.route.at(convoy.ego)
    low = np.floor(way.min(0) - config.border)
    extent = np.ceil(way.max(0) + config.border) - low
    columns, rows = np.ceil(extent / config.ground_resolution).astype(int)
    surfaces = np.zeros((rows, columns), np.uint8)
    return Canvas((float(low[0]), float(low[1])), config.ground_resolution, surfaces)


def _ground(
    rng: np.random.Generator,
    canvas: Canvas,
    plan: StreetPlan,
    palette: Palette,
    config: WorldConfig,
) -> Ground:
    marks = Marks.none(canvas)
    draw_marks(marks, rng, plan)
    colors = color_ground(
        rng, canvas, marks, ground_tones(rng, palette), float(rng.uniform(0, 0.9))
    )
    rows, columns = canvas.surfaces.shape
    shape = tuple(
        int(np.ceil(n * canvas.resolution / _HEIGHT_SPACING)) + 1 for n in (rows, columns)
    )
    steepest = config.max_slope * float(rng.choice([0.05, 0.5, 1.0])) * float(rng.uniform(0.5, 1))
    heights = make_heights(rng, canvas.lower, (shape[0], shape[1]), _HEIGHT_SPACING, steepest)
    return Ground(
        canvas.lower,
        canvas.resolution,
        SURFACE_LABELS[canvas.surfaces],
        colors,
        _HEIGHT_SPACING,
        heights,
    )


def _stand_things(
    rng: np.random.Generator,
    parking: np.random.Generator,
    site: Site,
    convoy: Convoy,
    plots: tuple[Plot, ...],
    config: WorldConfig,
) -> None:
    """All that stays where it is, what matters most first."""
    xy, yaw = convoy.ego_body()
    if parking.random() < config.rarities:
        for _ in range(12):
            if open_work_zone(parking, site, xy):
                break
    for make in (make_trailer, make_construction_vehicle, make_truck, make_bus):
        if parking.random() < config.rarities / 2:
            put_beside_way(parking, site, xy, yaw, make(parking, site.palette))
    build_premises(rng, site, plots)
    furnish_curbs(rng, site)
    park_along_curbs(parking, site, config.parking)
    fill_background(rng, site)


def _move_things(rng: np.random.Generator, site: Site, convoy: Convoy, config: WorldConfig) -> None:
    """All that moves, what is tied to the ego's drive first."""
    clearance = Clearance(site.room)
    xy, yaw = convoy.ego_body()
    clearance.granted.append(Course(xy[::2], yaw[::2], (LENGTH / 2, WIDTH / 2)))
    add_convoy(rng, site, convoy, clearance)
    add_crossing_people(rng, site, convoy, clearance, 0.15 * config.pedestrians)
    rare = ("bus", "road_train", "motorcycle", "bicycle", "construction")
    chances = config.rarities * np.array((1.0, 0.7, 1.0, 1.0, 0.15))
    wanted = tuple(k for k, chance in zip(rare, chances, strict=True) if rng.random() < chance)
    add_traffic(rng, site, convoy, clearance, config.traffic, wanted)
    add_strollers(rng, site, convoy, clearance, config.pedestrians)
