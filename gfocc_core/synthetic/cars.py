"""Passenger cars: saloons, hatchbacks, estates, off-roaders, vans, pick-ups, taxis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gfocc_core.synthetic.palettes import Color, Palette, pick
from gfocc_core.synthetic.parts import ObjectModel, Part
from gfocc_core.synthetic.shapes import DARK_GLASS, HEADLIGHT, TAILLIGHT, ball, box, wheels


@dataclass(frozen=True)
class _Body:
    length: float
    width: float
    height: float
    belt: float
    """Height of the windows' lower edge over the whole height."""
    hood: float
    """Share of the length ahead of the windscreen."""
    trunk: float
    """Share of the length behind the rear window."""
    slant: float
    """Lean of the windscreen, radians from upright."""


_BODIES: dict[str, _Body] = {
    "saloon": _Body(4.75, 1.84, 1.47, 0.62, 0.27, 0.16, 0.95),
    "hatchback": _Body(4.15, 1.78, 1.52, 0.61, 0.24, 0.03, 0.85),
    "estate": _Body(4.75, 1.84, 1.52, 0.61, 0.26, 0.02, 0.90),
    "off_roader": _Body(4.75, 1.94, 1.80, 0.60, 0.26, 0.02, 0.60),
    "van": _Body(4.90, 1.98, 2.05, 0.58, 0.17, 0.01, 0.60),
    "pick_up": _Body(5.30, 1.98, 1.85, 0.60, 0.26, 0.34, 0.60),
}
_KINDS = tuple(_BODIES)
_SHARES = (0.28, 0.22, 0.12, 0.22, 0.09, 0.07)
_TRIM: Color = (38, 38, 40)


def make_car(rng: np.random.Generator, palette: Palette) -> ObjectModel:
    """One passenger car."""
    kind = _KINDS[int(rng.choice(len(_KINDS), p=_SHARES))]
    base = _BODIES[kind]
    length, width, height = (
        float(edge * rng.uniform(0.94, 1.06)) for edge in (base.length, base.width, base.height)
    )
    color = pick(rng, palette.cars)
    wheel = 0.62 + 0.08 * (height - 1.45)
    belt, sill = base.belt * height, 0.45 * wheel
    parts = [
        box((0, 0, (sill + belt) / 2), (length * 0.97, width * 0.98, belt - sill), color, "metal"),
        ball((length * 0.32, 0, belt - 0.02), (length * 0.33, width * 0.9, 0.22), color, "metal"),
    ]
    parts += _greenhouse(base, length, width, height, belt, color)
    parts += _ends(length, width, belt, sill)
    parts += wheels((length * 0.31, -length * 0.29), width, wheel, 0.22)
    if kind == "pick_up":
        parts.append(_bed_floor(length, width, belt, base.trunk))
    if rng.random() < 0.05:
        parts.append(box((0, 0, height + 0.08), (0.3, 0.7, 0.16), (236, 196, 60), "sign"))
    return ObjectModel(4, tuple(parts), "vehicle.car")


def _greenhouse(
    base: _Body, length: float, width: float, height: float, belt: float, color: Color
) -> list[Part]:
    """Roof, pillars and dark windows above the belt line."""
    rise = height - belt
    front = length / 2 - base.hood * length
    back = -length / 2 + base.trunk * length
    lean = rise * np.tan(base.slant)
    rear_lean = 0.45 * lean
    roof_front, roof_back = front - lean * 0.75, back + rear_lean
    roof_mid, roof_length = (roof_front + roof_back) / 2, roof_front - roof_back
    cabin = width * 0.86
    glass_length = float(np.hypot(lean * 0.75, rise))
    rear_length = float(np.hypot(rear_lean, rise))
    middle = belt + rise * 0.5
    return [
        box((roof_mid, 0, belt + rise * 0.46), (roof_length, cabin, rise * 0.92), color, "metal"),
        box((roof_mid, 0, height - 0.04), (roof_length * 0.98, cabin * 0.95, 0.08), color, "metal"),
        box(
            (roof_mid, 0, middle - 0.02),
            (roof_length * 0.92, cabin + 0.03, rise * 0.62),
            DARK_GLASS,
            "glass",
        ),
        box(
            ((front + roof_front) / 2, 0, middle - 0.03),
            (0.12, cabin * 0.94, glass_length),
            DARK_GLASS,
            "glass",
            (0.0, -float(np.arctan2(lean * 0.75, rise)), 0.0),
        ),
        box(
            ((back + roof_back) / 2, 0, middle - 0.03),
            (0.12, cabin * 0.92, rear_length),
            DARK_GLASS,
            "glass",
            (0.0, float(np.arctan2(rear_lean, rise)), 0.0),
        ),
    ]


def _ends(length: float, width: float, belt: float, sill: float) -> list[Part]:
    """Bumpers, grille, lamps, plates."""
    nose, lamp_z = length / 2, belt * 0.76
    parts = [
        box((sign * (nose - 0.1), 0, sill + 0.16), (0.2, width * 0.96, 0.26), _TRIM)
        for sign in (1, -1)
    ]
    parts.append(box((nose * 0.97, 0, lamp_z - 0.02), (0.06, width * 0.42, 0.16), _TRIM, "plain"))
    for side in (1, -1):
        y = side * width * 0.38
        parts.append(box((nose * 0.97, y, lamp_z), (0.08, width * 0.18, 0.14), HEADLIGHT, "glass"))
        parts.append(box((-nose * 0.97, y, lamp_z), (0.08, width * 0.16, 0.18), TAILLIGHT, "glass"))
        parts.append(box((nose * 0.36, side * width * 0.5, belt), (0.12, 0.12, 0.12), _TRIM))
    parts.append(box((-nose * 0.985, 0, lamp_z - 0.12), (0.04, 0.5, 0.12), (226, 226, 220)))
    return parts


def _bed_floor(length: float, width: float, belt: float, trunk: float) -> Part:
    """The dark load bed of a pick-up, seen from above."""
    x = -length / 2 + trunk * length * 0.5
    return box((x, 0, belt + 0.005), (trunk * length * 0.85, width * 0.8, 0.03), _TRIM)
