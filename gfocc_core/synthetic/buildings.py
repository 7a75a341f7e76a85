"""Buildings: towers with setbacks, gabled houses, halls; each fronts towards its -y side's street.

`depth` below is how far a building reaches under its origin, so that slopes leave no gap.
"""

from __future__ import annotations

import numpy as np

from gfocc_core.synthetic.palettes import Color, Palette, pick, shade
from gfocc_core.synthetic.parts import BOX, ObjectModel, Part
from gfocc_core.synthetic.shapes import bar, box, post

Floor = tuple[float, float]
"""Frontage (x) and depth from the street (y) of a footprint, metres."""


def _block(
    x: float, y: float, low: float, high: float, size: Floor, color: Color, skin: str
) -> Part:
    return Part(
        BOX, (x, y, (low + high) / 2), (size[0] / 2, size[1] / 2, (high - low) / 2), color, skin
    )


def _ground_floor(rng: np.random.Generator) -> str:
    skins = ("facade", "glass", "brick", "concrete", "plaster")
    return skins[int(rng.choice(len(skins), p=(0.5, 0.16, 0.12, 0.12, 0.1)))]


def make_tower(
    rng: np.random.Generator, palette: Palette, floor: Floor, height: float, depth: float
) -> ObjectModel:
    """A flat-roofed building of one or two bodies with a shop front, ledges and roof gear."""
    wide, deep = floor
    skin = str(rng.choice(["facade", "brick", "glass"], p=(0.7, 0.2, 0.1)))
    color = pick(rng, palette.bricks if skin == "brick" else palette.facades, 12)
    if skin == "glass":
        color = shade(rng, (96, 116, 130), 14)
    base = min(float(rng.uniform(3.2, 4.6)), height * 0.6)
    shop = pick(rng, palette.facades, 16)
    parts = [
        _block(0, 0, -depth, base, floor, shop, _ground_floor(rng)),
        _block(0, 0.06, base, height, (wide - 0.1, deep - 0.15), color, skin),
    ]
    if rng.random() < 0.6:
        parts.append(
            _block(
                0,
                0,
                base - 0.15,
                base + 0.2,
                (wide + 0.3, deep + 0.3),
                shade(rng, color, 20),
                "concrete",
            )
        )
    if height > 9 and rng.random() < 0.45:
        upper = height * float(rng.uniform(1.15, 1.5))
        shift = float(rng.uniform(-0.15, 0.15)) * wide
        size = (wide * float(rng.uniform(0.5, 0.7)), deep * float(rng.uniform(0.6, 0.85)))
        parts.append(_block(shift, 0, height, min(upper, 30.0), size, color, skin))
    else:
        parts.append(
            _block(
                0,
                0,
                height - 0.1,
                height + 0.5,
                (wide + 0.25, deep + 0.25),
                shade(rng, color, 20),
                "concrete",
            )
        )
        gear = (float(rng.uniform(1.5, 4)), float(rng.uniform(1.5, 3)))
        parts.append(
            _block(
                float(rng.uniform(-0.25, 0.25)) * wide,
                0.5,
                height,
                height + 2.2,
                gear,
                pick(rng, palette.metals),
                "metal",
            )
        )
    if rng.random() < 0.5:
        awning = (float(rng.uniform(0.4, 0.8)) * wide, 1.2, 0.14)
        parts.append(
            box((0, -deep / 2 - 0.6, base * 0.8), awning, pick(rng, palette.clothes), "cloth")
        )
    if rng.random() < 0.5:
        parts += _balconies(rng, floor, base, height, shade(rng, color, 18))
    return ObjectModel(15, tuple(parts))


def _balconies(
    rng: np.random.Generator, floor: Floor, base: float, height: float, color: Color
) -> list[Part]:
    wide, deep = floor
    x = float(rng.uniform(-0.3, 0.3)) * wide
    return [
        box((x, -deep / 2 - 0.5, float(z) + 0.5), (2.6, 1.0, 1.0), color, "concrete")
        for z in np.arange(base + 1.2, height - 2.5, 3.0)[:5]
    ]


def make_house(
    rng: np.random.Generator, palette: Palette, floor: Floor, height: float, depth: float
) -> ObjectModel:
    """A house with a gabled or flat roof, a porch, a chimney and sometimes a garage."""
    wide, deep = floor
    skin = str(rng.choice(["plaster", "facade", "brick", "wood"], p=(0.12, 0.6, 0.2, 0.08)))
    color = pick(rng, palette.bricks if skin == "brick" else palette.facades, 12)
    roof = pick(rng, palette.roofs, 10)
    eaves = max(height * 0.65, 3.0)
    parts = [_block(0, 0, -depth, eaves, floor, color, skin)]
    if rng.random() < 0.8:
        parts += _gable(floor, eaves, min(height - eaves + 1.0, deep * 0.4), color, roof, skin)
    else:
        parts.append(_block(0, 0, eaves, eaves + 0.35, (wide + 0.5, deep + 0.5), roof, "concrete"))
    door = float(rng.uniform(-0.3, 0.3)) * wide
    parts.append(
        box((door, -deep / 2 - 0.03, 1.05), (1.1, 0.1, 2.1), pick(rng, palette.barks), "wood")
    )
    if rng.random() < 0.5:
        parts.append(box((door, -deep / 2 - 0.75, 2.6), (2.6, 1.5, 0.15), roof, "wood"))
        for side in (1, -1):
            parts.append(
                post(
                    (door + side * 1.15, -deep / 2 - 1.35, 1.3),
                    0.14,
                    2.6,
                    shade(rng, color, 20),
                    "wood",
                )
            )
    if rng.random() < 0.4:
        end = float(rng.choice([-1, 1]))
        size = (wide * 0.3, deep * 0.55)
        parts.append(
            _block(
                end * (wide * 0.5 - size[0] / 2 + 0.8),
                deep * 0.2,
                -depth,
                2.7,
                size,
                shade(rng, color, 14),
                "plaster",
            )
        )
    return ObjectModel(15, tuple(parts))


def _gable(
    floor: Floor, eaves: float, rise: float, wall: Color, roof: Color, skin: str
) -> list[Part]:
    """Two tilted slabs over a stepped core that closes the gable ends."""
    wide, deep = floor
    tilt = float(np.arctan2(rise, deep / 2))
    slab = float(np.hypot(rise, deep / 2)) + 0.5
    parts = [
        box(
            (0, side * (deep / 4 + 0.12), eaves + rise / 2 - 0.1),
            (wide + 0.6, slab, 0.22),
            roof,
            "brick" if rise > 1.5 else "plain",
            (0.0, 0.0, -side * tilt),
        )
        for side in (1, -1)
    ]
    steps = 4
    for step in range(steps):
        low = eaves + rise * step / steps
        share = 1 - (step + 0.85) / steps
        if share > 0.05:
            parts.append(
                _block(0, 0, low, low + rise / steps, (wide * 0.985, deep * share), wall, skin)
            )
    return parts


def make_hall(
    rng: np.random.Generator, palette: Palette, floor: Floor, height: float, depth: float
) -> ObjectModel:
    """A workshop or warehouse: metal walls, roller doors, skylights."""
    wide, deep = floor
    color = pick(rng, (*palette.metals, *palette.facades), 12)
    skin = str(rng.choice(["metal", "concrete", "facade"]))
    parts = [
        _block(0, 0, -depth, height, floor, color, skin),
        _block(
            0, 0, height, height + 0.3, (wide + 0.3, deep + 0.3), shade(rng, color, 20), "metal"
        ),
    ]
    door = pick(rng, palette.freight)
    for x in np.arange(-wide / 2 + 3.5, wide / 2 - 2.5, 7.0)[:5]:
        parts.append(box((float(x), -deep / 2 - 0.03, 1.9), (3.6, 0.1, 3.8), door, "metal"))
    if rng.random() < 0.6:
        sign = (float(rng.uniform(3, 7)), 0.2, 1.1)
        parts.append(
            box((0, -deep / 2 - 0.1, height - 0.9), sign, pick(rng, palette.freight), "sign")
        )
    for share in np.linspace(-0.3, 0.3, 3):
        parts.append(
            box(
                (float(share) * wide, 0, height + 0.5),
                (1.6, deep * 0.5, 0.4),
                (190, 196, 198),
                "glass",
            )
        )
    return ObjectModel(15, tuple(parts))


def make_wall(
    rng: np.random.Generator, color: Color, skin: str, length: float, height: float
) -> ObjectModel:
    """A straight piece of garden wall or hoarding along x."""
    parts = (
        box((0, 0, height / 2 - 0.2), (length, 0.22, height + 0.4), color, skin),
        box((0, 0, height + 0.03), (length, 0.3, 0.08), shade(rng, color, 16), "concrete"),
    )
    return ObjectModel(15, parts)


def make_fence(color: Color, length: float, height: float) -> ObjectModel:
    """Posts, rails and pales along x."""
    parts = [
        bar((-length / 2, 0, z * height), (length / 2, 0, z * height), 0.07, color, "wood")
        for z in (0.35, 0.85)
    ]
    for x in np.linspace(-length / 2, length / 2, 3):
        parts.append(post((float(x), 0, height / 2 - 0.1), 0.1, height + 0.2, color))
    parts.append(box((0, 0, height * 0.52), (length, 0.04, height * 0.8), color, "wood"))
    return ObjectModel(15, tuple(parts))
