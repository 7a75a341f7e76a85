"""The light of a scene: clear or overcast, warm or cool, hazy, sometimes dusk."""

from __future__ import annotations

import numpy as np

from gfocc_core.synthetic.parts import Array
from gfocc_core.synthetic.world import Lighting

Rgb = tuple[float, float, float]


def make_lighting(rng: np.random.Generator) -> Lighting:
    """One scene's daylight."""
    dusk = bool(rng.random() < 0.15)
    overcast = float(rng.choice([0.0, 0.0, 0.5, 1.0])) * float(rng.uniform(0.7, 1.0))
    elevation = float(np.deg2rad(rng.uniform(6, 14) if dusk else rng.uniform(20, 65)))
    azimuth = float(rng.uniform(-np.pi, np.pi))
    warmth = float(rng.uniform(-0.06, 0.1)) + (0.12 if dusk else 0.0)
    level = float(rng.uniform(0.32, 0.5) if dusk else rng.uniform(0.8, 1.1))
    sun = level * (1 - 0.85 * overcast) * float(rng.uniform(0.75, 1.0))
    ambient = level * (0.36 + 0.34 * overcast) * float(rng.uniform(0.9, 1.15))
    gray = np.array((0.78, 0.80, 0.83)) * level
    horizon = (1 - overcast) * np.array((0.80, 0.86, 0.92)) * level + overcast * gray
    zenith = (1 - overcast) * np.array((0.34, 0.54, 0.86)) * level + overcast * gray * 0.92
    if dusk:
        horizon = 0.6 * horizon + 0.4 * np.array((0.92, 0.62, 0.42)) * min(level * 1.6, 1.0)
    return Lighting(
        to_sun=(
            float(np.cos(elevation) * np.cos(azimuth)),
            float(np.cos(elevation) * np.sin(azimuth)),
            float(np.sin(elevation)),
        ),
        sun=_tinted(sun, warmth),
        ambient=_tinted(ambient, -0.4 * warmth),
        sky_horizon=_rgb(np.clip(horizon, 0, 1)),
        sky_zenith=_rgb(np.clip(zenith, 0, 1)),
        haze_distance=float(np.exp(rng.uniform(np.log(120), np.log(900)))),
    )


def _tinted(level: float, warmth: float) -> Rgb:
    return level * (1 + warmth), level, level * (1 - warmth)


def _rgb(values: Array) -> Rgb:
    r, g, b = (float(value) for value in values)
    return r, g, b
