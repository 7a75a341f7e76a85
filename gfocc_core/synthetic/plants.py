"""Trees, bushes and hedges."""

from __future__ import annotations

import numpy as np

from gfocc_core.synthetic.palettes import Palette, pick, shade
from gfocc_core.synthetic.parts import ObjectModel
from gfocc_core.synthetic.shapes import ball, bar, box, post

FOLIAGE = "foliage"


def make_tree(rng: np.random.Generator, palette: Palette, height: float) -> ObjectModel:
    """A broad-leaved tree, a conifer or a poplar."""
    kind = str(rng.choice(["broad", "conifer", "poplar"], p=(0.72, 0.16, 0.12)))
    if kind == "broad":
        return make_street_tree(rng, palette, height, height * float(rng.uniform(0.2, 0.3)))
    leaf, bark = pick(rng, palette.leaves, 10), pick(rng, palette.barks)
    trunk = float(np.clip(height * 0.045, 0.16, 0.6))
    if kind == "conifer":
        parts = [post((0, 0, height * 0.2), trunk, height * 0.4, bark, "bark")]
        for share, width in ((0.28, 0.42), (0.5, 0.32), (0.7, 0.22), (0.87, 0.12)):
            size = (width * height, width * height, 0.32 * height)
            parts.append(ball((0, 0, share * height), size, shade(rng, leaf), FOLIAGE))
        return ObjectModel(16, tuple(parts))
    parts = [post((0, 0, height * 0.2), trunk, height * 0.4, bark, "bark")]
    for share in (0.4, 0.68):
        size = (0.24 * height, 0.24 * height, 0.58 * height)
        parts.append(ball((0, 0, share * height), size, shade(rng, leaf), FOLIAGE))
    return ObjectModel(16, tuple(parts))


def make_street_tree(
    rng: np.random.Generator, palette: Palette, height: float, clear: float
) -> ObjectModel:
    """A broad-leaved tree whose crown starts `clear` metres above the ground."""
    leaf, bark = pick(rng, palette.leaves, 10), pick(rng, palette.barks)
    trunk = float(np.clip(height * 0.045, 0.16, 0.6))
    parts = [post((0, 0, clear * 0.6), trunk, clear * 1.2, bark, "bark")]
    crowns = int(rng.integers(2, 6))
    spread = height * float(rng.uniform(0.12, 0.2))
    for crown in range(crowns):
        angle = 2 * np.pi * crown / crowns + float(rng.uniform(-0.5, 0.5))
        x, y = (np.array([np.cos(angle), np.sin(angle)]) * spread).tolist()
        width = height * float(rng.uniform(0.3, 0.46))
        tall = (height - clear) * float(rng.uniform(0.5, 0.72))
        z = clear + tall / 2 + (height - clear) * float(rng.uniform(0.0, 0.22))
        parts.append(ball((x, y, z), (width, width, tall), shade(rng, leaf), FOLIAGE))
        parts.append(bar((0, 0, clear), (x, y, z), trunk * 0.45, bark, "bark"))
    top = height - (height - clear) * 0.28
    parts.append(
        ball((0, 0, top), (height * 0.36, height * 0.36, (height - clear) * 0.56), leaf, FOLIAGE)
    )
    return ObjectModel(16, tuple(parts))


def make_bush(rng: np.random.Generator, palette: Palette, height: float) -> ObjectModel:
    """One to three round tufts."""
    leaf = pick(rng, palette.leaves, 10)
    parts = []
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.normal(0, 0.28 * height, 2).tolist()
        tall = height * float(rng.uniform(0.75, 1.0))
        wide = height * float(rng.uniform(0.9, 1.3))
        parts.append(ball((x, y, tall * 0.42), (wide, wide, tall), shade(rng, leaf), FOLIAGE))
    return ObjectModel(16, tuple(parts))


def make_hedge(
    rng: np.random.Generator, palette: Palette, length: float, height: float
) -> ObjectModel:
    """A clipped piece of hedge along x."""
    leaf = pick(rng, palette.leaves, 6)
    deep = float(rng.uniform(0.6, 1.0))
    core = box((0, 0, height / 2 - 0.1), (length, deep, height + 0.2), leaf, FOLIAGE)
    tufts = [
        ball(
            (float(x), 0, height * 0.85),
            (1.5, deep * 1.15, height * 0.5),
            shade(rng, leaf),
            FOLIAGE,
        )
        for x in np.arange(-length / 2 + 0.7, length / 2, 1.3)
    ]
    return ObjectModel(16, (core, *tufts))
