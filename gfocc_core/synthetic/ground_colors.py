"""Colours of the ground: every surface's tone with grain and blotches, then the marks on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from gfocc_core.synthetic.ground_labels import SURFACES, Canvas
from gfocc_core.synthetic.ground_marks import Marks

_GRAIN_LEVELS, _BLOTCH_LEVELS = 16, 32
_TILE = 512
_BAND = 256


@dataclass(frozen=True)
class Tone:
    """A surface's look; colours RGB 0 to 255."""

    color: tuple[float, float, float]
    blotch: tuple[float, float, float]
    """What a full blotch adds, and a full hollow takes away."""
    grain: float
    """Standard deviation of the brightness from pixel to pixel, in 8-bit steps."""


def color_ground(
    rng: np.random.Generator,
    canvas: Canvas,
    marks: Marks,
    tones: Mapping[str, Tone],
    wear: float,
) -> npt.NDArray[np.uint8]:
    """Colours [Y, X, 3] uint8; `wear` in [0, 1] is how much of the paint has gone."""
    table = _color_table([tones[name] for name, _ in SURFACES])
    grain = _grain_tile(rng)
    rows, columns = canvas.surfaces.shape
    blotch = _blotches(rng, (rows, columns), canvas.resolution)
    colors = np.empty((rows, columns, 3), np.uint8)
    repeats = -(-columns // _TILE)
    for top in range(0, rows, _BAND):
        band = slice(top, min(top + _BAND, rows))
        lines = np.arange(band.start, band.stop) % _TILE
        index = canvas.surfaces[band].astype(np.uint16) * (_GRAIN_LEVELS * _BLOTCH_LEVELS)
        index += np.tile(grain[lines], (1, repeats))[:, :columns]
        index += blotch[band]
        np.take(table, index, axis=0, out=colors[band])
    _blend(colors, marks.dark, (18, 18, 20), None)
    worn = np.tile(grain, (-(-rows // _TILE), repeats))[:rows, :columns] // _BLOTCH_LEVELS
    keep = 1 - np.float32(wear) * (worn.astype(np.float32) / _GRAIN_LEVELS)
    _blend(colors, marks.yellow, tuple(rng.uniform((190, 150, 20), (225, 180, 70))), keep)
    _blend(colors, marks.white, tuple(np.full(3, rng.uniform(195, 235))), keep)
    return colors


def _color_table(tones: list[Tone]) -> npt.NDArray[np.uint8]:
    """[surface x grain x blotch, 3] uint8."""
    grain = np.linspace(-2, 2, _GRAIN_LEVELS)[:, None, None]
    blotch = np.linspace(-1, 1, _BLOTCH_LEVELS)[None, :, None]
    rows = [
        np.array(tone.color) + grain * tone.grain + blotch * np.array(tone.blotch) for tone in tones
    ]
    return np.clip(np.stack(rows), 0, 255).astype(np.uint8).reshape(-1, 3)


def _grain_tile(rng: np.random.Generator) -> npt.NDArray[np.uint16]:
    """[tile, tile] uint16 grain level times the number of blotch levels; it repeats seamlessly."""
    noise = rng.standard_normal((_TILE, _TILE), np.float32)
    soft = cv2.GaussianBlur(np.tile(noise, (3, 3)), (0, 0), 1.2)[
        _TILE : 2 * _TILE, _TILE : 2 * _TILE
    ]
    noise = 0.75 * noise + 0.66 * soft / soft.std()
    level = np.clip((noise + 2) / 4 * _GRAIN_LEVELS, 0, _GRAIN_LEVELS - 1)
    return level.astype(np.uint16) * _BLOTCH_LEVELS


def _blotches(
    rng: np.random.Generator, shape: tuple[int, int], resolution: float
) -> npt.NDArray[np.uint8]:
    """[Y, X] uint8 blotch level: cloudy at three sizes."""
    total = np.zeros(shape, np.float32)
    for size, weight in ((1.2, 0.30), (5.0, 0.32), (22.0, 0.38)):
        cells = [max(int(edge * resolution / size), 2) for edge in shape]
        noise = rng.uniform(-1, 1, cells).astype(np.float32)
        total += weight * cv2.resize(noise, shape[::-1], interpolation=cv2.INTER_LINEAR)
    level = (total * 1.4 + 1) * (_BLOTCH_LEVELS / 2)
    return np.clip(level, 0, _BLOTCH_LEVELS - 1).astype(np.uint8)


def _blend(
    colors: npt.NDArray[np.uint8],
    cover: npt.NDArray[np.uint8],
    color: tuple[float, ...],
    keep: npt.NDArray[np.float32] | None,
) -> None:
    """Lay a colour over an image in place; `keep` [Y, X] scales the cover where given."""
    where = np.flatnonzero(cover)
    if not len(where):
        return
    share = cover.reshape(-1)[where].astype(np.float32) / 255
    if keep is not None:
        share *= keep.reshape(-1)[where]
    flat = colors.reshape(-1, 3)
    mixed = flat[where] * (1 - share[:, None]) + np.array(color, np.float32) * share[:, None]
    flat[where] = np.clip(mixed, 0, 255).astype(np.uint8)
