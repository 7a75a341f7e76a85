"""Trucks, buses and trailers."""

from __future__ import annotations

import numpy as np

from gfocc_core.synthetic.palettes import Color, Palette, pick, shade
from gfocc_core.synthetic.parts import ObjectModel, Part
from gfocc_core.synthetic.shapes import (
    DARK_GLASS,
    HEADLIGHT,
    TAILLIGHT,
    box,
    post,
    wheels,
)

_TRIM: Color = (44, 44, 46)
_CHASSIS: Color = (52, 50, 50)


def make_truck(rng: np.random.Generator, palette: Palette) -> ObjectModel:
    """A lorry with cab and box, tank, flatbed or tipper body."""
    length, width = float(rng.uniform(5.8, 8.6)), float(rng.uniform(2.3, 2.6))
    height = float(rng.uniform(2.6, 3.4))
    cab_length = float(rng.uniform(1.7, 2.2))
    cab_height = float(np.clip(height * rng.uniform(0.8, 0.95), 2.3, 2.7))
    parts = _cab(length / 2, cab_length, width, cab_height, pick(rng, palette.freight))
    parts.append(box((-cab_length / 2, 0, 0.75), (length - cab_length, width * 0.5, 0.3), _CHASSIS))
    parts += _load(rng, palette, (length, width, height), cab_length)
    parts += wheels((length / 2 - 1.1, -length * 0.22, -length * 0.36), width, 0.96, 0.3)
    parts += _tail(-length / 2, width, 0.85)
    return ObjectModel(10, tuple(parts), "vehicle.truck")


def _cab(front: float, length: float, width: float, height: float, color: Color) -> list[Part]:
    """A driver's cab whose face is at x = front."""
    x = front - length / 2
    parts = [
        box(
            (x, 0, (0.5 + height) / 2), (length * 0.96, width * 0.97, height - 0.5), color, "metal"
        ),
        box(
            (front - 0.06, 0, height * 0.72), (0.1, width * 0.88, height * 0.3), DARK_GLASS, "glass"
        ),
        box(
            (x + 0.2, 0, height * 0.72),
            (length * 0.5, width * 0.985, height * 0.26),
            DARK_GLASS,
            "glass",
        ),
        box((front - 0.08, 0, 0.55), (0.16, width, 0.4), _TRIM),
        box((front - 0.03, 0, height * 0.42), (0.06, width * 0.6, height * 0.16), _TRIM),
    ]
    for side in (1, -1):
        lamp = (front - 0.01, side * width * 0.4, 0.78)
        parts.append(box(lamp, (0.06, 0.3, 0.18), HEADLIGHT, "glass"))
    return parts


def _load(
    rng: np.random.Generator, palette: Palette, size: tuple[float, float, float], cab: float
) -> list[Part]:
    length, width, height = size
    room = length - cab - 0.2
    x = -length / 2 + room / 2
    color = pick(rng, palette.freight)
    kind = str(rng.choice(["box", "box", "tank", "flatbed", "tipper"]))
    if kind == "box":
        stripe = shade(rng, color, 40)
        return [
            box((x, 0, (0.95 + height) / 2), (room, width, height - 0.95), color, "metal"),
            box((x, 0, 1.35), (room * 0.9, width + 0.02, 0.4), stripe, "plain"),
        ]
    if kind == "tank":
        radius = min(width, height - 1.0) / 2
        lying = (0.0, np.pi / 2, 0.0)
        return [
            post((x, 0, 1.0 + radius), 2 * radius * 0.97, room * 0.95, color, "metal", lying),
            box((x, 0, 1.0), (room, width * 0.7, 0.2), _CHASSIS),
        ]
    side = 0.5 if kind == "flatbed" else 1.1
    parts = [box((x, 0, 1.0), (room, width, 0.16), _CHASSIS, "wood")]
    for y in (1, -1):
        parts.append(
            box((x, y * (width / 2 - 0.04), 1.05 + side / 2), (room, 0.08, side), color, "metal")
        )
    for end in (1, -1):
        parts.append(
            box(
                (x + end * (room / 2 - 0.04), 0, 1.05 + side / 2),
                (0.08, width, side),
                color,
                "metal",
            )
        )
    cargo = pick(rng, palette.soils) if kind == "tipper" else pick(rng, palette.barks)
    parts.append(
        box((x, 0, 1.05 + side * 0.5), (room * 0.85, width * 0.85, side * 1.1), cargo, "wood")
    )
    return parts


def _tail(back: float, width: float, z: float) -> list[Part]:
    lamps = [
        box((back + 0.02, side * width * 0.4, z), (0.06, 0.3, 0.16), TAILLIGHT, "glass")
        for side in (1, -1)
    ]
    return [*lamps, box((back + 0.06, 0, 0.55), (0.1, width * 0.9, 0.14), _TRIM, "metal")]


def make_bus(rng: np.random.Generator, palette: Palette) -> ObjectModel:
    """A city bus or a coach."""
    length, width = float(rng.uniform(9.5, 12.3)), float(rng.uniform(2.55, 2.9))
    height = float(rng.uniform(3.0, 3.7))
    color = pick(rng, palette.buses)
    band = pick(rng, palette.buses)
    front = length / 2
    parts = [
        box(
            (0, 0, (0.4 + height) / 2), (length * 0.98, width * 0.97, height - 0.4), color, "metal"
        ),
        box((0, 0, 0.85), (length * 0.94, width * 0.985, 0.35), band, "plain"),
        box(
            (front - 0.08, 0, height * 0.58),
            (0.16, width * 0.9, height * 0.42),
            DARK_GLASS,
            "glass",
        ),
        box(
            (-front + 0.08, 0, height * 0.66),
            (0.12, width * 0.8, height * 0.24),
            DARK_GLASS,
            "glass",
        ),
        box((front - 0.05, 0, height * 0.87), (0.12, width * 0.6, 0.28), (30, 30, 30), "sign"),
        box(
            (-length * 0.1, 0, height + 0.1),
            (length * 0.3, width * 0.6, 0.2),
            shade(rng, color),
            "metal",
        ),
        box((front - 0.06, 0, 0.5), (0.14, width, 0.3), _TRIM),
    ]
    panes = 6
    for pane in range(panes):
        x = front - 0.9 - (pane + 0.5) * (length - 1.6) / panes
        size = ((length - 1.6) / panes * 0.9, width * 0.99, height * 0.3)
        parts.append(box((x, 0, height * 0.63), size, DARK_GLASS, "glass"))
    for side in (1, -1):
        parts.append(
            box((front - 0.01, side * width * 0.38, 0.75), (0.05, 0.4, 0.2), HEADLIGHT, "glass")
        )
    parts += _tail(-front, width, 1.1)
    parts += wheels((length * 0.29, -length * 0.24), width, 0.98, 0.3)
    return ObjectModel(3, tuple(parts), "vehicle.bus.rigid")


def make_trailer(rng: np.random.Generator, palette: Palette) -> ObjectModel:
    """A semi-trailer: closed, container on a frame, or flat."""
    length, width = float(rng.uniform(9.5, 13.5)), float(rng.uniform(2.5, 2.9))
    height = float(rng.uniform(3.4, 4.0))
    color = pick(rng, palette.freight)
    kind = str(rng.choice(["closed", "container", "flat"], p=(0.55, 0.3, 0.15)))
    floor = 1.15
    parts: list[Part] = [box((0, 0, floor - 0.12), (length, width * 0.9, 0.24), _CHASSIS)]
    if kind == "flat":
        height = float(rng.uniform(2.4, 3.2))
        for end in (-0.28, 0.05, 0.3):
            parts.append(
                box(
                    (end * length, 0, (floor + height) / 2),
                    (length * 0.24, width * 0.85, height - floor),
                    pick(rng, palette.bricks),
                    "wood",
                )
            )
    else:
        parts.append(
            box((0, 0, (floor + height) / 2), (length, width, height - floor), color, "metal")
        )
        ribs = 7 if kind == "container" else 2
        for rib in range(ribs):
            x = (rib + 0.5) / ribs * length - length / 2
            size = (0.1, width + 0.03, height - floor - 0.2)
            parts.append(box((x, 0, (floor + height) / 2), size, shade(rng, color, 14), "metal"))
    parts.append(box((length * 0.28, 0, 0.5), (0.15, width * 0.7, 1.0), _TRIM, "metal"))
    parts += wheels((-length * 0.24, -length * 0.33, -length * 0.42), width * 0.97, 0.98, 0.32)
    parts += _tail(-length / 2, width, 0.95)
    return ObjectModel(9, tuple(parts), "vehicle.trailer")
