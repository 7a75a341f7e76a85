"""What stands along curbs: lamps, signals, signs, boxes, shelters, hoardings; x to the road."""

from __future__ import annotations

import numpy as np

from gfocc_core.synthetic.palettes import Color, Palette, pick
from gfocc_core.synthetic.parts import ObjectModel
from gfocc_core.synthetic.shapes import bar, box, post

_SIGNS: tuple[Color, ...] = ((196, 30, 34), (30, 70, 160), (236, 200, 40), (230, 230, 230))


def make_street_light(rng: np.random.Generator, palette: Palette, reach: float) -> ObjectModel:
    """A lamp post whose arm hangs `reach` metres over the road."""
    color, height = pick(rng, palette.metals), float(rng.uniform(5.5, 9.0))
    parts = (
        post((0, 0, 0.4), 0.28, 0.8, color),
        post((0, 0, height / 2), 0.16, height, color),
        bar((0, 0, height - 0.1), (reach, 0, height + 0.15), 0.1, color, "metal"),
        box((reach, 0, height + 0.1), (0.8, 0.3, 0.14), (210, 208, 196), "plain"),
    )
    return ObjectModel(15, parts)


def make_traffic_light(rng: np.random.Generator, palette: Palette, reach: float) -> ObjectModel:
    """A signal on a post; with `reach` above zero a second one hangs over the road."""
    color = pick(rng, palette.metals)
    height = 5.6 if reach else 3.2
    parts = [post((0, 0, height / 2), 0.17, height, color)]
    places = [(0.0, 0.0, 2.75)]
    if reach:
        parts.append(bar((0, 0, 5.5), (reach, 0, 5.7), 0.13, color, "metal"))
        places.append((reach, 0.0, 5.4))
    lit = int(rng.integers(3))
    for x, y, z in places:
        parts.append(box((x + 0.12, y - 0.16, z), (0.3, 0.28, 0.95), (28, 28, 30)))
        lamps: tuple[Color, ...] = ((220, 40, 36), (236, 180, 40), (60, 210, 110))
        for lamp, tint in enumerate(lamps):
            shown = tint if lamp == lit else (tint[0] // 5, tint[1] // 5, tint[2] // 5)
            parts.append(box((x + 0.12, y - 0.31, z + 0.3 - 0.3 * lamp), (0.2, 0.05, 0.2), shown))
    return ObjectModel(15, tuple(parts))


def make_sign(rng: np.random.Generator, palette: Palette) -> ObjectModel:
    """A road sign on a thin post."""
    height = float(rng.uniform(2.0, 2.8))
    color = _SIGNS[int(rng.integers(len(_SIGNS)))]
    steel = pick(rng, palette.metals)
    parts = [post((0, 0, height / 2), 0.08, height, steel)]
    if rng.random() < 0.5:
        disc = (0.0, 0.0, np.pi / 2)
        parts.append(post((0, -0.07, height - 0.2), 0.62, 0.04, color, "sign", disc))
    else:
        plate = (float(rng.uniform(0.5, 0.9)), 0.05, float(rng.uniform(0.4, 0.7)))
        parts.append(box((0, -0.07, height - 0.2), plate, color, "sign"))
    return ObjectModel(15, tuple(parts))


def make_curb_box(rng: np.random.Generator, palette: Palette) -> ObjectModel:
    """A hydrant, a cable cabinet, a bollard, a letter box or a bench."""
    kind = int(rng.integers(5))
    steel = pick(rng, palette.metals)
    if kind == 0:
        red = pick(rng, ((186, 44, 34), (220, 180, 50)))
        parts = [
            post((0, 0, 0.35), 0.26, 0.7, red),
            box((0, 0, 0.5), (0.2, 0.46, 0.16), red, "metal"),
            post((0, 0, 0.76), 0.18, 0.14, red),
        ]
    elif kind == 1:
        size = (0.45, float(rng.uniform(0.7, 1.4)), float(rng.uniform(1.0, 1.5)))
        parts = [box((0, 0, size[2] / 2), size, steel, "metal")]
    elif kind == 2:
        parts = [
            post((0, 0, 0.48), 0.18, 0.96, steel),
            post((0, 0, 0.85), 0.19, 0.1, (230, 230, 226)),
        ]
    elif kind == 3:
        paint = pick(rng, palette.freight)
        parts = [
            box((0, 0, 0.85), (0.45, 0.5, 0.7), paint, "metal"),
            post((0, 0, 0.3), 0.16, 0.6, steel),
        ]
    else:
        wood = pick(rng, palette.barks)
        parts = [
            box((0, 0, 0.44), (0.5, 1.7, 0.08), wood, "wood"),
            box((-0.24, 0, 0.7), (0.08, 1.7, 0.4), wood, "wood"),
            box((0, 0.7, 0.2), (0.4, 0.1, 0.4), steel, "metal"),
            box((0, -0.7, 0.2), (0.4, 0.1, 0.4), steel, "metal"),
        ]
    return ObjectModel(15, tuple(parts))


def make_shelter(rng: np.random.Generator, palette: Palette) -> ObjectModel:
    """A bus stop: roof, glass back and side, poster; open towards +x."""
    steel = pick(rng, palette.metals)
    wide = float(rng.uniform(3.0, 4.2))
    parts = [box((0, 0, 2.45), (1.5, wide + 0.3, 0.12), steel, "metal")]
    for y in (-wide / 2, wide / 2):
        parts.append(post((-0.6, y, 1.2), 0.1, 2.4, steel))
    parts.append(box((-0.62, 0, 1.35), (0.05, wide - 0.1, 1.9), (120, 140, 148), "glass"))
    parts.append(box((0, wide / 2, 1.35), (1.1, 0.1, 1.9), pick(rng, palette.freight), "sign"))
    parts.append(box((-0.35, 0, 0.48), (0.4, wide * 0.7, 0.07), steel, "metal"))
    return ObjectModel(15, tuple(parts))


def make_billboard(rng: np.random.Generator, palette: Palette) -> ObjectModel:
    """A hoarding on two legs, facing +x."""
    wide, tall = float(rng.uniform(3.0, 6.0)), float(rng.uniform(2.0, 3.2))
    foot = float(rng.uniform(1.0, 3.0))
    steel = pick(rng, palette.metals)
    parts = [post((0, y * wide, foot / 2), 0.2, foot, steel) for y in (-0.35, 0.35)]
    parts.append(
        box((0, 0, foot + tall / 2), (0.25, wide, tall), pick(rng, palette.freight), "sign")
    )
    parts.append(box((0, 0, foot + tall / 2), (0.22, wide + 0.2, tall + 0.2), steel, "metal"))
    return ObjectModel(15, tuple(parts))
