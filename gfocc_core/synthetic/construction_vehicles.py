"""Construction machines: excavators on tracks and wheel loaders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gfocc_core.synthetic.palettes import Color, Palette, pick
from gfocc_core.synthetic.parts import ObjectModel, Part
from gfocc_core.synthetic.shapes import DARK_GLASS, bar, box, post, wheel, wheels

_TRIM: Color = (44, 44, 46)
_CHASSIS: Color = (52, 50, 50)


def make_construction_vehicle(rng: np.random.Generator, palette: Palette) -> ObjectModel:
    """An excavator on tracks or a wheel loader, its boom or bucket ahead."""
    color = pick(rng, palette.machines)
    scale = float(rng.uniform(0.85, 1.1))
    tracked = rng.random() < 0.55
    raw = _excavator(rng, color) if tracked else _loader(color)
    parts = tuple(_scaled(part, scale) for part in raw)
    return ObjectModel(5, parts, "vehicle.construction")


def _excavator(rng: np.random.Generator, color: Color) -> list[Part]:
    elbow_z = float(rng.uniform(3.1, 3.9))
    parts = [box((-0.9, side * 1.05, 0.45), (3.4, 0.55, 0.9), _TRIM, "rubber") for side in (1, -1)]
    for side in (1, -1):
        for x in (-2.3, -0.9, 0.5):
            parts.append(wheel(x, side * 1.22, 0.8, 0.3))
    return [
        *parts,
        box((-0.9, 0, 0.75), (2.0, 1.7, 0.4), _CHASSIS, "metal"),
        box((-1.2, 0, 1.45), (3.2, 2.5, 1.0), color, "metal"),
        box((-2.55, 0, 1.55), (0.7, 2.6, 1.2), _darker(color), "metal"),
        box((-0.1, 0.75, 2.25), (1.5, 0.95, 1.4), color, "metal"),
        box((-0.05, 0.75, 2.35), (1.54, 0.99, 0.9), DARK_GLASS, "glass"),
        bar((0.2, -0.3, 1.7), (1.7, -0.3, elbow_z), 0.42, color, "metal"),
        bar((1.7, -0.3, elbow_z), (2.9, -0.3, 1.1), 0.32, color, "metal"),
        bar((0.4, -0.3, 1.4), (1.2, -0.3, elbow_z - 0.9), 0.16, (70, 70, 72), "metal"),
        box((2.75, -0.3, 0.65), (0.8, 1.1, 0.8), _TRIM, "metal", (0.0, 0.35, 0.0)),
    ]


def _loader(color: Color) -> list[Part]:
    return [
        *wheels((1.2, -1.7), 2.7, 1.45, 0.55),
        box((-1.8, 0, 1.5), (2.3, 1.9, 1.1), color, "metal"),
        box((1.0, 0, 1.1), (1.6, 1.3, 0.8), color, "metal"),
        box((-0.3, 0, 2.2), (1.5, 1.6, 2.0), color, "metal"),
        box((-0.3, 0, 2.55), (1.54, 1.64, 0.95), DARK_GLASS, "glass"),
        box((-2.9, 0, 1.2), (0.4, 2.0, 0.8), _TRIM, "metal"),
        bar((0.5, 0.5, 1.8), (2.4, 0.5, 0.7), 0.26, _darker(color), "metal"),
        bar((0.5, -0.5, 1.8), (2.4, -0.5, 0.7), 0.26, _darker(color), "metal"),
        box((2.75, 0, 0.62), (0.9, 2.7, 1.0), _TRIM, "metal", (0.0, 0.25, 0.0)),
        post((-1.6, 0.6, 2.5), 0.14, 1.0, _TRIM),
    ]


def _darker(color: Color) -> Color:
    """The same colour in shadow."""
    return color[0] * 3 // 4, color[1] * 3 // 4, color[2] * 3 // 4


def _scaled(part: Part, scale: float) -> Part:
    center, half = ((x * scale, y * scale, z * scale) for x, y, z in (part.center, part.half))
    return replace(part, center=center, half=half)
