"""What a real camera does to light: blur, exposure, vignette, colour cast, noise, 8 bits."""

from __future__ import annotations

import zlib

import cv2
import numpy as np

from gfocc_core.synthetic.rig import CameraSpec
from gfocc_core.synthetic.vectors import Bytes, Floats

_MIDDLE = 0.24
"""Mean radiance that the exposure aims at."""
_ADAPTATION = 0.6
"""Exponent by which the exposure follows the picture's brightness; 1 would hide dusk."""
_CONTRAST = np.float32(0.6)
"""Share of an S-shaped tone curve in the picture."""
_SHIFT = 64
"""The grain's pattern moves by up to this many pixels from picture to picture."""


class CameraLook:
    """The lens and sensor of one camera in one scene; draws from (seed, name), not from order."""

    def __init__(self, camera: CameraSpec, seed: int) -> None:
        self._key = [seed, zlib.crc32(camera.name.encode())]
        rng = np.random.default_rng([*self._key, 0])
        self._gain = float(np.exp(rng.normal(0, 0.1)))
        self._cast = np.exp(rng.normal(0, 0.025, 3)).astype(np.float32)
        self._blur = float(rng.uniform(0.35, 0.6))
        grain = rng.standard_normal((camera.height + _SHIFT, camera.width + _SHIFT, 3), np.float32)
        grain *= np.float32(0.6)
        grain += rng.standard_normal((*grain.shape[:2], 1), np.float32)
        self._grain = grain * np.float32(rng.uniform(0.004, 0.011))
        x = (np.arange(camera.width, dtype=np.float32) + 0.5 - camera.cx) / camera.fx
        y = (np.arange(camera.height, dtype=np.float32) + 0.5 - camera.cy) / camera.fy
        falloff = np.float32(rng.uniform(0.25, 0.5))
        self._vignette = 1 / (1 + falloff * (x[None] ** 2 + y[:, None] ** 2))

    def picture(self, radiance: Floats, time: float) -> Bytes:
        """8-bit RGB [H, W, 3] of linear radiance [3, H, W]."""
        rng = np.random.default_rng([*self._key, 1 + round((time + 1e4) * 1e4)])
        mean = float(radiance.mean())
        gain = self._gain * _MIDDLE * (mean / _MIDDLE) ** (1 - _ADAPTATION) / max(mean, 1e-4)
        gain *= float(np.exp(rng.normal(0, 0.03)))
        film = radiance * (self._vignette * np.float32(gain))
        film *= self._cast[:, None, None]
        # the film's shoulder: highlights roll off instead of clipping
        film *= np.float32(-1.5)
        np.exp(film, out=film)
        np.subtract(1, film, out=film)
        np.sqrt(film, out=film)
        film *= _CONTRAST * film * (3 - 2 * film) + (1 - _CONTRAST)
        image = cv2.merge(list(film))
        cv2.GaussianBlur(image, (3, 3), self._blur, dst=image)
        top, left = rng.integers(0, _SHIFT, 2)
        image += self._grain[top : top + image.shape[0], left : left + image.shape[1]]
        image *= 255
        image += 0.5
        return np.clip(image, 0, 255, out=image).astype(np.uint8)
