"""Procedural tileable textures, one painter per material.

A texture is float32 [SIZE, SIZE, 4]: three tones and a gloss. A tone multiplies the surface's
base colour up to 1 and blends it towards white from 1 to 2; gloss (0 to 1) mirrors the sky.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from gfocc_core.synthetic.materials import CATALOGUE

SIZE = 128
"""Edge of a texture in pixels."""

_PANE_LOW = np.array([0.16, 0.2, 0.26], np.float32)
_PANE_HIGH = np.array([0.26, 0.34, 0.44], np.float32)
"""Tones of a window pane at its lower and upper edge."""

Image = npt.NDArray[np.float32]
Painter = Callable[[np.random.Generator, int], Image]


def smooth_noise(
    rng: np.random.Generator, slope: float, size: int = SIZE, stretch: float = 1.0
) -> Image:
    """Tileable noise [size, size] of unit deviation with a 1 / f^slope spectrum.

    `stretch` above 1 draws its features out along the rows' direction (vertically).
    """
    frequency = np.fft.fftfreq(size, 1 / size)
    radius = np.hypot(frequency[:, None] * stretch, frequency[None, : size // 2 + 1])
    radius[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) / radius**slope
    noise = np.fft.irfft2(spectrum, (size, size))
    return np.asarray(noise / noise.std(), np.float32)


def _tones(tone: Image, gloss: float | Image = 0.0) -> Image:
    """One tone for all colours, and a gloss, as a texture."""
    image = np.empty((*tone.shape[:2], 4), np.float32)
    image[..., :3] = tone[..., None] if tone.ndim == 2 else tone
    image[..., 3] = gloss
    return image


def _plain(rng: np.random.Generator, variant: int) -> Image:
    return _tones(1.0 + 0.025 * smooth_noise(rng, 1.2))


def _brick(rng: np.random.Generator, variant: int) -> Image:
    height, width = 8, 32
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    course = rows // height
    shifted = (columns + (course % 2) * (width // 2)) % SIZE
    shade = rng.normal(0.92, 0.1, (SIZE // height, SIZE // width)).astype(np.float32)
    tone = shade[course, shifted // width] + 0.05 * smooth_noise(rng, 0.6)
    mortar = (rows % height == 0) | (shifted % width == 0)
    return _tones(np.where(mortar, np.float32(1.18), tone))


def _concrete(rng: np.random.Generator, variant: int) -> Image:
    tone = 0.95 + 0.05 * smooth_noise(rng, 1.4) + 0.035 * smooth_noise(rng, 1.2, stretch=0.15)
    tone[:2] *= 0.72
    tone[:, :1] *= 0.8
    return _tones(tone)


def _plaster(rng: np.random.Generator, variant: int) -> Image:
    return _tones(1.0 + 0.045 * smooth_noise(rng, 1.6) + 0.02 * smooth_noise(rng, 0.3))


def _facade(rng: np.random.Generator, variant: int) -> Image:
    """A storey high, a window wide; row 0 is the storey's floor."""
    left, right, low, high, panes = (
        (0.28, 0.72, 0.30, 0.80, 2),
        (0.06, 0.94, 0.34, 0.84, 4),
        (0.34, 0.66, 0.12, 0.86, 1),
        (0.16, 0.84, 0.24, 0.82, 3),
    )[variant % 4]
    tone = np.repeat((1.0 + 0.035 * smooth_noise(rng, 1.3))[..., None], 3, -1)
    edges = [round(edge * SIZE) for edge in (left, right, low, high)]
    x0, x1, y0, y1 = edges
    frame = slice(y0 - 3, y1 + 3), slice(max(x0 - 3, 0), x1 + 3)
    tone[frame] = (1.22, 0.6, 1.3, 0.72)[variant % 4]
    sky = np.linspace(0.0, 1.0, y1 - y0, dtype=np.float32)[:, None, None]
    tone[y0:y1, x0:x1] = _PANE_LOW + sky * (_PANE_HIGH - _PANE_LOW)
    gloss = np.zeros((SIZE, SIZE), np.float32)
    gloss[y0:y1, x0:x1] = 0.55
    for bar in np.linspace(x0, x1, panes + 1)[1:-1]:
        bars = slice(y0, y1), slice(round(bar) - 1, round(bar) + 1)
        tone[bars], gloss[bars] = 0.7, 0.0
    tone[y0 - 6 : y0 - 3, max(x0 - 5, 0) : x1 + 5] = 1.3  # sill
    tone[:3] *= (0.85, 0.6, 0.9, 0.75)[variant % 4]  # joint between storeys
    return _tones(tone, gloss)


def _glass(rng: np.random.Generator, variant: int) -> Image:
    return _tones(0.95 + 0.04 * smooth_noise(rng, 2.0), 0.65)


def _bark(rng: np.random.Generator, variant: int) -> Image:
    ridges = smooth_noise(rng, 0.9, stretch=5.0)
    return _tones(0.85 + 0.18 * ridges)


def _foliage(rng: np.random.Generator, variant: int) -> Image:
    """Clumps of leaves: dark gaps between bright, slightly yellower tips."""
    slope = (0.75, 0.95)[variant % 2]
    leaves = smooth_noise(rng, slope)
    clumps = smooth_noise(rng, 1.6)
    tone = np.clip(0.82 + 0.24 * leaves + 0.14 * clumps, 0.25, 1.3)
    warm = 0.06 * smooth_noise(rng, 1.1)
    return _tones(np.stack([tone * (1 + warm), tone, tone * (1 - 1.5 * warm)], -1))


def _metal(rng: np.random.Generator, variant: int) -> Image:
    return _tones(1.0 + 0.015 * smooth_noise(rng, 1.5), 0.22)


def _cloth(rng: np.random.Generator, variant: int) -> Image:
    return _tones(0.97 + 0.03 * smooth_noise(rng, 1.5, stretch=2.0))


def _stripes(rng: np.random.Generator, variant: int) -> Image:
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    white = ((rows + columns) * 2 // SIZE) % 2 == 0
    return _tones(np.where(white, np.float32(1.9), np.float32(1.0)) - 0.03)


def _wood(rng: np.random.Generator, variant: int) -> Image:
    planks = 6
    column = np.arange(SIZE) * planks // SIZE
    shade = rng.normal(0.95, 0.07, planks).astype(np.float32)[column]
    tone = shade[None] + 0.07 * smooth_noise(rng, 1.1, stretch=6.0)
    tone[:, np.flatnonzero(np.diff(column, prepend=-1))] *= 0.55
    return _tones(tone)


def _rubber(rng: np.random.Generator, variant: int) -> Image:
    return _tones(0.9 + 0.06 * smooth_noise(rng, 1.0))


def _sign(rng: np.random.Generator, variant: int) -> Image:
    """A white rim and three lines of writing."""
    tone = np.full((SIZE, SIZE), 1.0, np.float32)
    rim = SIZE // 16
    tone[:rim] = tone[-rim:] = 1.95
    tone[:, :rim] = tone[:, -rim:] = 1.95
    for line, width in ((0.68, 0.7), (0.45, 0.56), (0.22, 0.34)):
        y, half = round(line * SIZE), round(width * SIZE / 2)
        letters = np.repeat(rng.random(half // 3 + 1) < 0.72, 6)[: 2 * half]
        block = tone[y : y + SIZE // 9, SIZE // 2 - half : SIZE // 2 - half + len(letters)]
        block[:, letters] = 1.9
    return _tones(np.asarray(cv2.GaussianBlur(tone, (0, 0), 0.7), np.float32))


_PAINTERS: dict[str, Painter] = {
    "plain": _plain,
    "brick": _brick,
    "concrete": _concrete,
    "plaster": _plaster,
    "facade": _facade,
    "glass": _glass,
    "bark": _bark,
    "foliage": _foliage,
    "metal": _metal,
    "cloth": _cloth,
    "stripes": _stripes,
    "wood": _wood,
    "rubber": _rubber,
    "sign": _sign,
}


def _grain(rng: np.random.Generator) -> Image:
    """What the ground's picture is too coarse to show: pebbles, blades of grass."""
    return _tones(1.0 + 0.1 * smooth_noise(rng, 0.5))


@cache
def all_textures() -> tuple[Image, ...]:
    """Textures of every material and variant in the catalogue's order, then the ground's grain.

    They are the same every time.
    """
    images = []
    for index, material in enumerate(CATALOGUE):
        for variant in range(material.variants):
            rng = np.random.default_rng([index, variant])
            images.append(_PAINTERS[material.name](rng, variant))
    images.append(_grain(np.random.default_rng(len(CATALOGUE))))
    return tuple(images)


def grain_texture() -> int:
    """Index in `all_textures` of the ground's grain."""
    return first_texture(len(CATALOGUE))


def first_texture(material: int) -> int:
    """Index in `all_textures` of a material's first variant."""
    return sum(entry.variants for entry in CATALOGUE[:material])
