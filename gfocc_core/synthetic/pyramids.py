"""Images filtered for every distance: mip pyramids laid out in one image each.

One image holds all levels, so that a whole picture is looked up with two calls of `cv2.remap`
(trilinear: two neighbouring levels, blended), whatever mixture of distances it shows.
"""

from __future__ import annotations

import cv2
import numpy as np

from gfocc_core.synthetic.textures import SIZE, Image, all_textures
from gfocc_core.synthetic.vectors import Bytes, Floats, Ints

TONE_SCALE = 127.5
"""Stored value of tone 1."""
TAPS = 4
"""Samples along the long axis of a pixel's footprint on the ground."""
_TAP_BLENDS = (0.125, 0.625, 0.875, 0.375)
_ROW = 1024
"""Points are looked up in rows: cv2.remap writes no image with an edge above _MAX_EDGE."""
_MAX_EDGE = 32_766


def gather_bilinear(image: Bytes, x: Floats, y: Floats) -> Floats:
    """Values float32 [C, N] of image [H, W, C] at points [N], whose pixel centres are integers."""
    count = len(x)
    rows = -(-count // _ROW)
    maps = np.zeros((2, rows * _ROW), np.float32)
    maps[0, :count], maps[1, :count] = x, y
    maps = maps.reshape(2, rows, _ROW)
    found = cv2.remap(image, maps[0], maps[1], cv2.INTER_LINEAR)
    return np.ascontiguousarray(found.reshape(-1, image.shape[2])[:count].T, np.float32)


def _split(lod: Floats, levels: int) -> tuple[Ints, Floats]:
    """The finer of two levels, and the weight of the coarser."""
    lod = np.clip(lod, 0, levels - 1.001)
    level = lod.astype(np.int32)
    return level, lod - level


class GroundPyramid:
    """A large picture, sampled in its own pixel coordinates (pixel edges at integers)."""

    LEVELS = 7

    def __init__(self, picture: Bytes) -> None:
        levels = [np.ascontiguousarray(picture)]
        while len(levels) < self.LEVELS:
            rows, columns = levels[-1].shape[:2]
            half = max(columns // 2, 1), max(rows // 2, 1)
            smaller = cv2.resize(levels[-1], half, interpolation=cv2.INTER_AREA)
            levels.append(np.asarray(smaller, np.uint8))
        height, width = levels[0].shape[:2]
        if max(height, width + (width + 1) // 2) > _MAX_EDGE:
            raise ValueError(f"ground of {width} x {height} pixels is too large to render")
        self._image = np.zeros((height, width + (width + 1) // 2, 3), np.uint8)
        corners, y = [(0, 0)], 0
        for level in levels[1:]:
            corners.append((width, y))
            y += level.shape[0]
        for (left, top), level in zip(corners, levels, strict=True):
            self._image[top : top + level.shape[0], left : left + level.shape[1]] = level
        size = np.array([level.shape[1::-1] for level in levels], np.float32).T
        self._corner = np.ascontiguousarray(np.array(corners, np.float32).T)
        self._last = size - 1
        self._scale = size / size[:, :1]

    def sample(self, x: Floats, y: Floats, along: tuple[Floats, Floats], lod: Floats) -> Floats:
        """Mean values float32 [3, N] over lines of length `along` [N] (x, y) around points [N].

        lod is log2 of the pixels that a sample stands for. The samples of a line are spread over
        the two nearest levels, which blends these as trilinear filtering would, at half its cost.
        """
        total = np.zeros((3, len(x)), np.float32)
        for tap, blend in enumerate(_TAP_BLENDS):
            level = np.clip(lod + np.float32(blend), 0, self.LEVELS - 1).astype(np.int32)
            shift = np.float32((tap + 0.5) / TAPS - 0.5)
            total += self._at(level, x + along[0] * shift, y + along[1] * shift)
        total *= np.float32(1 / TAPS)
        return total

    def _at(self, level: Ints, x: Floats, y: Floats) -> Floats:
        place = []
        for axis, value in enumerate((x, y)):
            inside = value * np.take(self._scale[axis], level)
            inside -= np.float32(0.5)
            np.maximum(inside, 0, out=inside)
            np.minimum(inside, np.take(self._last[axis], level), out=inside)
            inside += np.take(self._corner[axis], level)
            place.append(inside)
        return gather_bilinear(self._image, place[0], place[1])


class TextureAtlas:
    """All textures of all materials; coordinates are in tiles and wrap around."""

    LEVELS = 6

    def __init__(self) -> None:
        levels = [np.stack([_encode(texture) for texture in all_textures()])]
        while len(levels) < self.LEVELS:
            finer = levels[-1].astype(np.float32)
            count, edge = finer.shape[0], finer.shape[1] // 2
            mean = finer.reshape(count, edge, 2, edge, 2, 4).mean((2, 4))
            levels.append(np.asarray(mean + 0.5, np.uint8))
        strips = [self._strip(level) for level in levels]
        width = max(strip.shape[1] for strip in strips)
        self._image = np.zeros((sum(strip.shape[0] for strip in strips), width, 4), np.uint8)
        tops, top = [], 0
        for strip in strips:
            self._image[top : top + strip.shape[0], : strip.shape[1]] = strip
            tops.append(top)
            top += strip.shape[0]
        self._top = np.array(tops, np.float32)
        self._edge = np.array([level.shape[1] for level in levels], np.float32)

    def sample(self, texture: Ints, u: Floats, v: Floats, footprint: Floats) -> Floats:
        """Tones and gloss, float32 [4, N] (as painted), of textures [N] at (u, v) in tiles.

        footprint: [N] what one pixel covers, in tiles.
        """
        lod = np.log2(np.maximum(footprint * np.float32(SIZE), np.float32(1)))
        level, weight = _split(lod, self.LEVELS)
        u, v = u - np.floor(u), v - np.floor(v)
        found = self._at(texture, level, u, v)
        found += (self._at(texture, level + 1, u, v) - found) * weight
        found[:3] *= np.float32(1 / TONE_SCALE)
        found[3] *= np.float32(1 / 255)
        return found

    def _at(self, texture: Ints, level: Ints, u: Floats, v: Floats) -> Floats:
        edge = np.take(self._edge, level)
        x = texture * (edge + 2) + np.float32(0.5) + u * edge
        y = np.take(self._top, level) + np.float32(0.5) + v * edge
        return gather_bilinear(self._image, x.astype(np.float32), y)

    @staticmethod
    def _strip(level: Bytes) -> Bytes:
        """Textures [T, S, S, 4] side by side, each with a rim of its opposite side's pixels."""
        padded = np.pad(level, ((0, 0), (1, 1), (1, 1), (0, 0)), "wrap")
        return np.concatenate(list(padded), axis=1)


def _encode(texture: Image) -> Bytes:
    scale = np.array([TONE_SCALE] * 3 + [255], np.float32)
    return np.asarray(np.clip(texture * scale + 0.5, 0, 255), np.uint8)
