"""Who stands where: a raster that grants places on allowed surfaces and remembers them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from gfocc_core.synthetic.curves import unit
from gfocc_core.synthetic.ground_labels import SURFACE_INDEX, SURFACES, Canvas
from gfocc_core.synthetic.parts import Array

_COARSER = 2
"""Canvas pixels per cell along an edge."""
_SHIFT = 3


@dataclass(frozen=True, eq=False)
class Room:
    """Free space of a scene; cells of about a quarter of a metre."""

    canvas: Canvas
    taken: npt.NDArray[np.uint8]
    """[Y, X] uint8: 1 where something stands, 2 where a plot or the ego's way is reserved."""

    @classmethod
    def over(cls, canvas: Canvas) -> Room:
        rows, columns = canvas.surfaces.shape
        return cls(canvas, np.zeros((-(-rows // _COARSER), -(-columns // _COARSER)), np.uint8))

    @property
    def cell(self) -> float:
        """Edge of a cell, metres."""
        return self.canvas.resolution * _COARSER

    def claim(
        self, corners: Array, surfaces: frozenset[str], value: int = 1, over: tuple[int, ...] = (0,)
    ) -> bool:
        """Take a convex polygon [K, 2] if it is within the map and wholly on the given surfaces.

        Every cell of it must hold one of `over`; then it holds `value`.
        """
        found = self._cells(corners)
        if found is None:
            return False
        (rows, columns), inside = found
        held = self.taken[rows, columns]
        if not any_of(over, 256)[held[inside]].all():
            return False
        allowed = any_of(tuple(SURFACE_INDEX[name] for name in surfaces), len(SURFACES))
        if not allowed[self._surfaces(rows, columns)[inside]].all():
            return False
        held[inside] = value
        return True

    def free_at(self, xy: Array) -> npt.NDArray[np.bool_]:
        """Whether nothing stands at points [..., 2]; outside the map nothing does."""
        place = np.floor((xy - np.asarray(self.canvas.lower)) / self.cell).astype(np.int64)
        rows, columns = self.taken.shape
        inside = (place >= 0).all(-1) & (place[..., 1] < rows) & (place[..., 0] < columns)
        held = self.taken[
            np.clip(place[..., 1], 0, rows - 1), np.clip(place[..., 0], 0, columns - 1)
        ]
        return ~inside | (held != 1)

    def surface_at(self, xy: Array) -> npt.NDArray[np.uint8]:
        """Surface index [...] at points [..., 2]; beyond the border the border's."""
        canvas = self.canvas
        place = np.floor((xy - np.asarray(canvas.lower)) / canvas.resolution).astype(np.int64)
        rows, columns = canvas.surfaces.shape
        return canvas.surfaces[
            np.clip(place[..., 1], 0, rows - 1), np.clip(place[..., 0], 0, columns - 1)
        ]

    def _cells(self, corners: Array) -> tuple[tuple[slice, slice], npt.NDArray[np.bool_]] | None:
        place = (corners - np.asarray(self.canvas.lower)) / self.cell
        low, high = np.floor(place.min(0)).astype(int), np.ceil(place.max(0)).astype(int) + 1
        rows, columns = self.taken.shape
        if (low < 0).any() or high[0] > columns or high[1] > rows:
            return None
        inside = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        pixels = np.round((place - low - 0.5) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillConvexPoly(inside, pixels, (1,), shift=_SHIFT)
        return (slice(low[1], high[1]), slice(low[0], high[0])), inside.astype(bool)

    def _surfaces(self, rows: slice, columns: slice) -> npt.NDArray[np.uint8]:
        return self.canvas.surfaces[
            rows.start * _COARSER : rows.stop * _COARSER : _COARSER,
            columns.start * _COARSER : columns.stop * _COARSER : _COARSER,
        ]


@lru_cache
def any_of(values: tuple[int, ...], count: int) -> npt.NDArray[np.bool_]:
    """[count] True at the given indices."""
    table = np.zeros(count, bool)
    table[list(values)] = True
    return table


def footprint(xy: Array, yaw: float, length: float, width: float) -> Array:
    """Corners [4, 2] of a rectangle about a centre."""
    half = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) * (length / 2, width / 2)
    return np.asarray(xy) + half @ np.stack([unit(yaw), unit(yaw + np.pi / 2)])
