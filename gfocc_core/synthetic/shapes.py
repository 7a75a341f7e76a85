"""Short ways to write parts down: full sizes in metres, x forward, y left, z up."""

from __future__ import annotations

import numpy as np

from gfocc_core.synthetic.palettes import Color
from gfocc_core.synthetic.parts import BOX, CYLINDER, ELLIPSOID, Part

Triple = tuple[float, float, float]

BLACK_RUBBER: Color = (26, 26, 28)
DARK_GLASS: Color = (34, 42, 50)
HEADLIGHT: Color = (238, 236, 222)
TAILLIGHT: Color = (170, 22, 22)


def box(
    center: Triple,
    size: Triple,
    color: Color,
    material: str = "plain",
    angles: Triple = (0.0, 0.0, 0.0),
) -> Part:
    return Part(BOX, center, _halved(size), color, material, angles)


def ball(
    center: Triple,
    size: Triple,
    color: Color,
    material: str = "plain",
    angles: Triple = (0.0, 0.0, 0.0),
) -> Part:
    return Part(ELLIPSOID, center, _halved(size), color, material, angles)


def post(
    center: Triple,
    diameter: float,
    height: float,
    color: Color,
    material: str = "metal",
    angles: Triple = (0.0, 0.0, 0.0),
) -> Part:
    """A round bar, upright unless turned."""
    return Part(CYLINDER, center, (diameter / 2, diameter / 2, height / 2), color, material, angles)


def wheel(x: float, y: float, diameter: float, width: float) -> Part:
    """Standing on the ground, its axle across."""
    half = diameter / 2
    return Part(
        CYLINDER,
        (x, y, half),
        (half, half, width / 2),
        BLACK_RUBBER,
        "rubber",
        (0.0, 0.0, np.pi / 2),
    )


def wheels(
    places: tuple[float, ...], width: float, diameter: float, tread: float
) -> tuple[Part, ...]:
    """Pairs at the axles' places along x, outer faces `width` apart."""
    side = (width - tread) / 2
    return tuple(wheel(x, y, diameter, tread) for x in places for y in (side, -side))


def bar(start: Triple, end: Triple, thickness: float, color: Color, material: str) -> Part:
    """A square bar from point to point."""
    a, b = np.array(start), np.array(end)
    run = b - a
    length = float(np.linalg.norm(run))
    yaw = float(np.arctan2(run[1], run[0]))
    pitch = float(-np.arctan2(run[2], np.hypot(run[0], run[1])))
    x, y, z = ((a + b) / 2).tolist()
    return box((x, y, z), (length, thickness, thickness), color, material, (yaw, pitch, 0.0))


def _halved(size: Triple) -> Triple:
    return size[0] / 2, size[1] / 2, size[2] / 2
