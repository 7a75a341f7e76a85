"""Which voxels do parts touch? Separating-plane tests between cubes and solids, for many at once.

A cube and a part are called apart only where a plane between them is found, so every voxel that
holds a piece of the part is reported. The planes tried (the faces of both; for round parts the one
that touches the part next to the cube) leave out all others but a few that almost touch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gfocc_core.grid import VoxelGrid
from gfocc_core.synthetic.parts import BOX, CYLINDER, ELLIPSOID
from gfocc_core.synthetic.placed_parts import PlacedParts

MIN_DEPTH = 1e-4
"""Metres; what reaches less deep into a cube only touches it."""
_LARGE = 1 << 11
_BLOCK = 1 << 16
_FACES = {BOX: (0, 1, 2), CYLINDER: (2,), ELLIPSOID: ()}

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Cells = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]
"""Indices or metres along x, y and z, of shapes that broadcast to that of all cells."""


@dataclass(frozen=True)
class Overlaps:
    """M pairs of a part and a voxel that it reaches into."""

    voxels: Integers
    """[M] position in the C-ordered [X, Y, Z] array."""
    parts: Integers
    """[M] index of the part."""
    depths: Floats
    """[M] metres by which they overlap along the shallowest direction tried."""


def touched_voxels(parts: PlacedParts, grid: VoxelGrid) -> Overlaps:
    """All overlaps of parts, placed in the grid's frame, with the grid's voxels."""
    found = [Overlaps(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))]
    for kind in (BOX, CYLINDER, ELLIPSOID):
        found.extend(_overlaps_of_kind(parts, kind, grid))
    return Overlaps(
        np.concatenate([piece.voxels for piece in found]),
        np.concatenate([piece.parts for piece in found]),
        np.concatenate([piece.depths for piece in found]),
    )


def _overlaps_of_kind(parts: PlacedParts, kind: int, grid: VoxelGrid) -> Iterator[Overlaps]:
    lower, shape = np.array(grid.lower), np.array(grid.shape)
    near = parts.kinds == kind
    reach = parts.reach() - MIN_DEPTH
    low = np.floor((parts.centers - reach - lower) / grid.voxel_size)
    high = np.floor((parts.centers + reach - lower) / grid.voxel_size)
    near &= ((low < shape) & (high >= 0)).all(1)
    numbers = np.flatnonzero(near)
    first = np.maximum(low[near], 0).astype(np.int64)
    extent = np.minimum(high[near], shape - 1).astype(np.int64) - first + 1
    tests = _PlaneTests.of(parts.select(near), kind, grid)
    counts = extent.prod(1)
    for row in np.flatnonzero(counts > _LARGE):
        cells = _open_box(first[row], extent[row])
        depths = tests.depths(row, cells)
        kept = depths > MIN_DEPTH
        voxels = np.broadcast_to(_flat(cells, grid), depths.shape)[kept]
        yield Overlaps(voxels, np.full(voxels.size, numbers[row]), depths[kept])
    for rows in _blocks(np.flatnonzero(counts <= _LARGE), counts):
        row_of, cells = _cells_of(rows, first, extent)
        depths = tests.depths(row_of, cells)
        kept = depths > MIN_DEPTH
        yield Overlaps(_flat(cells, grid)[kept], numbers[row_of[kept]], depths[kept])


def _flat(cells: Cells, grid: VoxelGrid) -> Integers:
    x, y, z = cells
    flat: Integers = (x * grid.shape[1] + y) * grid.shape[2] + z
    return flat


def _open_box(first: Integers, extent: Integers) -> Cells:
    """All cells of one part's box of indices, as an open grid."""
    x, y, z = (low + np.arange(count) for low, count in zip(first, extent, strict=True))
    return x[:, None, None], y[None, :, None], z[None, None, :]


def _blocks(rows: Integers, counts: Integers) -> Iterator[Integers]:
    """Rows in runs of about _BLOCK cells together, to stay in the cache."""
    if rows.size:
        number = np.cumsum(counts[rows]) // _BLOCK
        yield from np.split(rows, np.flatnonzero(np.diff(number)) + 1)


def _cells_of(rows: Integers, first: Integers, extent: Integers) -> tuple[Integers, Cells]:
    """All cells of several parts' boxes of indices, one after the other: row [M] and cells [M]."""
    counts = extent[rows].prod(1)
    row_of = np.repeat(rows, counts)
    place = np.arange(row_of.size) - np.repeat(np.cumsum(counts) - counts, counts)
    deep, wide = extent[row_of, 2], extent[row_of, 1]
    column = place // deep
    x = column // wide
    low = first[row_of]
    return row_of, (
        x + low[:, 0],
        column - x * wide + low[:, 1],
        place - column * deep + low[:, 2],
    )


@dataclass(frozen=True)
class _PlaneTests:
    """What the tests of P parts of one kind need; the last axis of every array is the part."""

    kind: int
    edge: np.float32
    origins: Floats
    """[3, P] centres as seen from the centre of voxel 0, 0, 0."""
    reach: Floats
    """[3, P] along the grid's axes."""
    axes: Floats
    """[3, 3, P] the part's axes (first) in the grid's frame (second)."""
    half: Floats
    """[3, P]"""
    metric: Floats
    """[3, 3, P] M such that d^T M d = 1 on a round part's surface (cylinders: its mantle)."""

    @classmethod
    def of(cls, parts: PlacedParts, kind: int, grid: VoxelGrid) -> _PlaneTests:
        inverse = 1 / np.maximum(parts.half, 1e-6)
        if kind == CYLINDER:
            inverse[:, 2] = 0
        scaled = parts.rotations * inverse[:, None, :]
        return cls(
            kind,
            np.float32(grid.voxel_size),
            _last(parts.centers - np.array(grid.lower) - grid.voxel_size / 2),
            _last(parts.reach()),
            _last(parts.rotations.transpose(0, 2, 1)),
            _last(parts.half),
            _last(scaled @ scaled.transpose(0, 2, 1)),
        )

    def depths(self, rows: Any, cells: Cells) -> Floats:
        """How deep parts and cubes overlap, metres; negative where they are apart.

        Args:
            rows: One part, or one per cell.
            cells: Voxel indices.
        """
        x, y, z = (
            index.astype(np.float32) * self.edge - self.origins[axis, rows]
            for axis, index in enumerate(cells)
        )
        cube = self.edge / 2
        depths = np.minimum(
            np.minimum(
                self.reach[0, rows] + cube - np.abs(x), self.reach[1, rows] + cube - np.abs(y)
            ),
            self.reach[2, rows] + cube - np.abs(z),
        )
        for face in _FACES[self.kind]:
            axis = self.axes[face]
            reach = self.half[face] + cube * np.abs(axis).sum(0)
            a, b, c = axis[:, rows]
            np.minimum(depths, reach[rows] - np.abs(a * x + b * y + c * z), out=depths)
        if self.kind != BOX:
            np.minimum(depths, self._depth_at_surface(rows, (x, y, z)), out=depths)
        return depths

    def _depth_at_surface(self, rows: Any, delta: Cells) -> Floats:
        """Along the part's normal below the cube's point that is nearest in the part's metric."""
        cube = self.edge / 2
        metric = self.metric[:, :, rows]
        nearest = [np.clip(np.float32(0), place - cube, place + cube) for place in delta]
        for axis in (0, 1, 2, 0, 1):
            one, two = (other for other in range(3) if other != axis)
            pull = metric[axis, one] * nearest[one] + metric[axis, two] * nearest[two]
            free = -pull / np.maximum(metric[axis, axis], np.float32(1e-9))
            nearest[axis] = np.clip(free, delta[axis] - cube, delta[axis] + cube)
        normal = [sum(m * place for m, place in zip(row, nearest, strict=True)) for row in metric]
        length = np.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2)
        reach = [
            half * (axis[0] * normal[0] + axis[1] * normal[1] + axis[2] * normal[2])
            for half, axis in zip(self.half[:, rows], self.axes[:, :, rows], strict=True)
        ]
        if self.kind == CYLINDER:
            solid = np.hypot(reach[0], reach[1]) + np.abs(reach[2])
        else:
            solid = np.sqrt(reach[0] ** 2 + reach[1] ** 2 + reach[2] ** 2)
        touching = solid + cube * (np.abs(normal[0]) + np.abs(normal[1]) + np.abs(normal[2]))
        apart = np.abs(normal[0] * delta[0] + normal[1] * delta[1] + normal[2] * delta[2])
        # Without a length the part's middle lies in the cube: no direction, and no doubt either.
        depth: Floats = np.where(
            length > 1e-9, (touching - apart) / np.maximum(length, np.float32(1e-9)), np.inf
        )
        return depth


def _last(array: npt.NDArray[Any]) -> Floats:
    """Parts from the first axis to the last."""
    return np.ascontiguousarray(np.moveaxis(array, 0, -1), np.float32)
