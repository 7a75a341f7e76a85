"""Bicycles and motorcycles, with or without their riders."""

from __future__ import annotations

import numpy as np

from gfocc_core.synthetic.palettes import Color, Palette, pick
from gfocc_core.synthetic.parts import ObjectModel
from gfocc_core.synthetic.people import seated_rider
from gfocc_core.synthetic.shapes import HEADLIGHT, TAILLIGHT, ball, bar, box, wheel

_STEEL: Color = (70, 72, 76)


def make_bicycle(rng: np.random.Generator, palette: Palette, ridden: bool) -> ObjectModel:
    """A bicycle; the rider is part of it."""
    scale = float(rng.uniform(0.94, 1.05))
    color = pick(rng, palette.cars)
    axle, rim = 0.53 * scale, 0.66
    seat, grip = (-0.2, 0.0, 0.92 * scale), (0.36, 0.0, 1.04 * scale)
    crank, head = (-0.08, 0.0, 0.3), (0.36, 0.0, 0.82 * scale)
    parts = [
        wheel(axle, 0, rim, 0.06),
        wheel(-axle, 0, rim, 0.06),
        bar(crank, head, 0.05, color, "metal"),
        bar(crank, seat, 0.05, color, "metal"),
        bar((-0.18, 0, 0.8), head, 0.05, color, "metal"),
        bar((-axle, 0, rim / 2), crank, 0.04, color, "metal"),
        bar((-axle, 0, rim / 2), seat, 0.04, color, "metal"),
        bar((axle, 0, rim / 2), grip, 0.05, color, "metal"),
        box(seat, (0.26, 0.15, 0.08), (30, 28, 28)),
        box(grip, (0.06, 0.58, 0.05), _STEEL, "metal"),
    ]
    if ridden:
        parts += seated_rider(rng, palette, (-0.2, 0.0, 0.96 * scale), grip, rng.random() < 0.4)
    return ObjectModel(2, tuple(parts), "vehicle.bicycle")


def make_motorcycle(rng: np.random.Generator, palette: Palette, ridden: bool) -> ObjectModel:
    """A motorcycle or a scooter; the rider is part of it."""
    length = float(rng.uniform(1.9, 2.25))
    color = pick(rng, palette.cars)
    axle, rim = length / 2 - 0.31, 0.6
    grip = (0.42, 0.0, 1.05)
    parts = [
        wheel(axle, 0, rim, 0.14),
        wheel(-axle, 0, rim, 0.18),
        box((-0.02, 0, 0.46), (0.75, 0.34, 0.4), _STEEL, "metal"),
        ball((0.14, 0, 0.8), (0.62, 0.34, 0.36), color, "metal"),
        box((-0.42, 0, 0.8), (0.72, 0.3, 0.14), (28, 26, 26)),
        bar((axle, 0, rim / 2), grip, 0.1, _STEEL, "metal"),
        bar((-axle, 0, rim / 2), (-0.1, 0, 0.5), 0.1, _STEEL, "metal"),
        box(grip, (0.07, 0.74, 0.06), _STEEL, "metal"),
        ball((0.56, 0, 0.9), (0.22, 0.26, 0.28), HEADLIGHT, "glass"),
        box((-length * 0.42, 0, 0.74), (0.1, 0.2, 0.1), TAILLIGHT, "glass"),
        box((axle, 0, rim + 0.04), (0.5, 0.17, 0.06), color, "metal"),
        bar((-0.2, -0.2, 0.36), (-0.85, -0.22, 0.45), 0.1, (150, 150, 150), "metal"),
    ]
    if rng.random() < 0.35:
        parts.append(box((0.3, 0, 0.6), (0.1, 0.46, 0.7), color, "metal", (0.0, -0.2, 0.0)))
    if ridden:
        parts += seated_rider(rng, palette, (-0.25, 0.0, 0.86), grip, True)
    return ObjectModel(6, tuple(parts), "vehicle.motorcycle")
