"""What is put down on the ground: cones, barriers, and the things Occ3D calls others."""

from __future__ import annotations

import numpy as np

from gfocc_core.synthetic.palettes import Color, Palette, pick
from gfocc_core.synthetic.parts import ObjectModel
from gfocc_core.synthetic.shapes import ball, bar, box, post, wheels

_ORANGE: Color = (232, 92, 28)
_WHITE: Color = (232, 232, 228)


def make_cone(rng: np.random.Generator, palette: Palette) -> ObjectModel:
    """A traffic cone, or the slimmer delineator post."""
    height, foot = float(rng.uniform(0.75, 1.1)), float(rng.uniform(0.36, 0.46))
    tiers = 5
    widths = np.linspace(0.72, 0.2, tiers) * foot
    if rng.random() < 0.2:
        widths[:] = 0.3 * foot
    step = (height - 0.06) / tiers
    parts = [box((0, 0, 0.03), (foot, foot, 0.06), (40, 38, 38), "rubber")]
    for tier, width in enumerate(widths):
        color = _WHITE if tier in (1, 3) else _ORANGE
        parts.append(post((0, 0, 0.06 + (tier + 0.5) * step), float(width), step, color, "plain"))
    return ObjectModel(8, tuple(parts), "movable_object.trafficcone")


def make_barrier(rng: np.random.Generator, palette: Palette, kind: str) -> ObjectModel:
    """One barrier across the x axis, 2.0 to 2.8 m wide. kind: jersey, plastic or board."""
    width, height = float(rng.uniform(2.0, 2.8)), float(rng.uniform(0.85, 1.05))
    if kind == "jersey":
        color = pick(rng, ((186, 184, 178), (160, 158, 152)))
        parts = [
            box((0, 0, 0.14), (0.6, width, 0.28), color, "concrete"),
            box((0, 0, 0.4), (0.42, width, 0.3), color, "concrete"),
            box((0, 0, (0.5 + height) / 2), (0.24, width, height - 0.5), color, "concrete"),
        ]
    elif kind == "plastic":
        color = pick(rng, (_ORANGE, _WHITE, (206, 60, 40)))
        parts = [
            box((0, 0, 0.2), (0.5, width * 0.98, 0.4), color),
            box((0, 0, height * 0.55), (0.4, width * 0.94, height * 0.3), color),
            box((0, 0, height * 0.84), (0.3, width * 0.98, height * 0.32), color),
        ]
    else:
        parts = [
            box((0, side * width * 0.42, height / 2), (0.5, 0.08, height), (120, 120, 122), "metal")
            for side in (1, -1)
        ]
        for z in (0.45, 0.9):
            parts.append(box((0, 0, z * height), (0.06, width, 0.2 * height), _ORANGE, "stripes"))
    return ObjectModel(1, tuple(parts), "movable_object.barrier")


def make_other(rng: np.random.Generator, palette: Palette) -> ObjectModel:
    """An animal, a wheelie bin, a heap of debris, a pushchair or a bicycle rack."""
    makers = (_dog, _bin, _bin, _debris, _pushchair, _rack)
    return makers[int(rng.integers(len(makers)))](rng, palette)


def _dog(rng: np.random.Generator, palette: Palette) -> ObjectModel:
    coat = pick(rng, ((120, 86, 54), (46, 40, 36), (196, 176, 140)))
    legs = [
        post((x, y, 0.16), 0.07, 0.32, coat, "cloth") for x in (0.25, -0.25) for y in (0.1, -0.1)
    ]
    parts = [
        *legs,
        ball((0, 0, 0.44), (0.8, 0.28, 0.34), coat, "cloth"),
        ball((0.42, 0, 0.6), (0.3, 0.18, 0.22), coat, "cloth"),
        bar((-0.36, 0, 0.48), (-0.58, 0, 0.62), 0.05, coat, "cloth"),
    ]
    return ObjectModel(0, tuple(parts), "animal")


def _bin(rng: np.random.Generator, palette: Palette) -> ObjectModel:
    color = pick(rng, ((44, 74, 50), (44, 50, 58), (70, 60, 40), (34, 60, 110)))
    wide = float(rng.choice([0.58, 0.62, 1.25]))
    height = float(rng.uniform(1.0, 1.2))
    parts = (
        box((0, 0, height * 0.5), (0.68, wide, height * 0.84), color),
        box((0, 0, height * 0.95), (0.76, wide + 0.06, height * 0.1), color),
        *wheels((-0.28,), wide, 0.2, 0.06),
    )
    return ObjectModel(0, parts, "movable_object.pushable_pullable")


def _debris(rng: np.random.Generator, palette: Palette) -> ObjectModel:
    parts = []
    for _ in range(int(rng.integers(4, 8))):
        x, y = rng.normal(0, 0.35, 2).tolist()
        size = tuple(rng.uniform(0.2, 0.6, 3).tolist())
        color = pick(rng, (*palette.soils, *palette.barks))
        angles = (float(rng.uniform(0, np.pi)), float(rng.normal(0, 0.3)), 0.0)
        parts.append(box((x, y, size[2] / 2), (size[0], size[1], size[2]), color, "wood", angles))
    return ObjectModel(0, tuple(parts), "movable_object.debris")


def _pushchair(rng: np.random.Generator, palette: Palette) -> ObjectModel:
    color = pick(rng, palette.clothes)
    parts = (
        *wheels((0.3, -0.28), 0.55, 0.26, 0.06),
        box((0.05, 0, 0.55), (0.6, 0.42, 0.36), color, "cloth"),
        ball((-0.1, 0, 0.8), (0.5, 0.44, 0.4), color, "cloth"),
        bar((-0.3, 0, 0.3), (-0.52, 0, 1.02), 0.06, (60, 60, 62), "metal"),
    )
    return ObjectModel(0, parts, "movable_object.pushable_pullable")


def _rack(rng: np.random.Generator, palette: Palette) -> ObjectModel:
    color = pick(rng, palette.metals)
    parts = []
    for y in (-0.9, -0.3, 0.3, 0.9):
        parts += [
            post((0.3, y, 0.4), 0.06, 0.8, color),
            post((-0.3, y, 0.4), 0.06, 0.8, color),
            box((0, y, 0.8), (0.66, 0.06, 0.06), color, "metal"),
        ]
    return ObjectModel(0, tuple(parts), "static_object.bicycle_rack")
