"""Which pixels one ray does not describe, and where else in them to look."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gfocc_core.synthetic.vectors import Floats

EXTRA_PLACES: tuple[tuple[float, float], ...] = ((0.3, 0.2), (-0.2, 0.3), (-0.1, -0.38))
"""Offsets (x, y) from a pixel's centre, in pixels, of the rays that refine it."""
_CONTRAST = np.float32(0.11)
"""Step in brightness (square root of radiance) between neighbours that makes an edge."""


def edge_pixels(light: Floats, shape: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Flat indices of pixels that differ much from a neighbour; light is radiance [3, H * W]."""
    brightness = light[0] + light[1]
    brightness += light[2]
    brightness *= np.float32(1 / 3)
    brightness = np.sqrt(brightness, out=brightness).reshape(shape)
    edge = np.zeros(shape, bool)
    step = np.abs(brightness[1:] - brightness[:-1]) > _CONTRAST
    edge[1:] |= step
    edge[:-1] |= step
    step = np.abs(brightness[:, 1:] - brightness[:, :-1]) > _CONTRAST
    edge[:, 1:] |= step
    edge[:, :-1] |= step
    return np.flatnonzero(edge)
