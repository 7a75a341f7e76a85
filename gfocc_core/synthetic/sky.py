"""The sky's colour in every direction: a gradient, clouds, and the glow around the sun."""

from __future__ import annotations

import cv2
import numpy as np

from gfocc_core.synthetic.pyramids import gather_bilinear
from gfocc_core.synthetic.textures import smooth_noise
from gfocc_core.synthetic.vectors import Floats, dot
from gfocc_core.synthetic.world import Lighting

_EDGE = 256
_CLOUD_SPAN = 2.2
"""Edge of the cloud picture, in heights of the clouds above the ground."""


class Sky:
    """Linear RGB radiance of the sky over one scene."""

    def __init__(self, lighting: Lighting, seed: int) -> None:
        self.horizon = np.square(np.array(lighting.sky_horizon, np.float32))
        self.zenith = np.square(np.array(lighting.sky_zenith, np.float32))
        self._to_sun = np.array(lighting.to_sun, np.float32)
        sun = np.array(lighting.sun, np.float32)
        self._glow = sun * np.float32(0.5)
        self._cloud_color = np.clip(self.horizon * 1.15 + 0.12 * sun, 0, 1.5).astype(np.float32)
        rng = np.random.default_rng([seed, 101])
        cover = rng.uniform(-0.9, 0.6)
        noise = smooth_noise(rng, 1.7, _EDGE)
        opacity = np.clip((noise + cover) * 0.7, 0, 1) * 255
        clouds = cv2.copyMakeBorder(opacity.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_WRAP)
        self._clouds = np.asarray(clouds[..., None], np.uint8)

    def gradient(self, up: Floats) -> Floats:
        """Radiance [3, N] of a cloudless sky at heights `up` [N], the sine of the elevation."""
        mix = np.sqrt(np.clip(up, 0, 1))
        return self.horizon[:, None] + (self.zenith - self.horizon)[:, None] * mix

    def radiance(self, directions: Floats) -> Floats:
        """Radiance [3, N] in unit directions [3, N]."""
        up = directions[2]
        color = self.gradient(up)
        height = np.maximum(up, 0) + np.float32(0.06)
        place = directions[:2] / (height * np.float32(_CLOUD_SPAN))
        place -= np.floor(place)
        place *= _EDGE
        cloud = gather_bilinear(self._clouds, place[0] + 0.5, place[1] + 0.5)[0]
        cloud *= np.clip(up * 5, 0, 1) * np.float32(0.8 / 255)
        color += (self._cloud_color[:, None] - color) * cloud
        glow = np.maximum(dot(directions, self._to_sun), 0)
        glow *= glow
        glow *= glow
        glow *= glow
        color += self._glow[:, None] * (glow * glow * glow * np.float32(0.35))
        return color
