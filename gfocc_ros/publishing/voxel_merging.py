"""Equal neighbouring voxels merged into boxes: fewer things to draw, the same space covered.

Greedy: runs of equal voxels along one axis, then runs of equal runs along the next. The edges of
the boxes are then cut into powers of two, so that many boxes share few sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_AXES = (1, 2, 0)
"""Across the road, up, along: the order that leaves the fewest boxes on street scenes."""

_EDGES = (16, 8, 4, 2, 1)
"""Lengths of the boxes' edges in voxels, longest first."""

_BITS = 12
"""Bits of a sort key for one coordinate or length: grids up to 4095 voxels along an axis."""


@dataclass(frozen=True)
class Boxes:
    """M boxes that do not overlap; each covers voxels [lower, lower + size) of one label."""

    labels: NDArray[np.uint8]
    """[M]"""
    lower: NDArray[np.int64]
    """[M, 3] index of the lowest voxel."""
    size: NDArray[np.int64]
    """[M, 3] voxels along x, y, z; each a power of two up to 16."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64]) -> Boxes:
        return Boxes(self.labels[rows], self.lower[rows], self.size[rows])


def merge_voxels(index: NDArray[np.int64], labels: NDArray[np.uint8]) -> Boxes:
    """Boxes that cover exactly the voxels ([N, 3] indices, none twice) with their labels [N]."""
    boxes = Boxes(labels, index, np.ones_like(index))
    for axis in _AXES:
        boxes = _join_along(boxes, axis)
    for axis in range(3):
        boxes = _cut_along(boxes, axis)
    return boxes


def _join_along(boxes: Boxes, axis: int) -> Boxes:
    """Join the boxes that touch along the axis and agree in all else."""
    if not len(boxes):
        return boxes
    first, second = (other for other in range(3) if other != axis)
    place = boxes.lower[:, first] << _BITS | boxes.lower[:, second]
    place = place << _BITS | boxes.lower[:, axis]
    extent = (boxes.size[:, first] << _BITS | boxes.size[:, second]) << 8 | boxes.labels
    order = np.lexsort((place, extent))
    place, extent = place[order], extent[order]
    boxes = boxes.take(order)
    length = boxes.size[:, axis]
    begins = np.ones(len(order), np.bool_)
    begins[1:] = (place[1:] - length[:-1] != place[:-1]) | (extent[1:] != extent[:-1])
    starts = np.flatnonzero(begins)
    joined = boxes.take(starts)
    joined.size[:, axis] = np.add.reduceat(length, starts)
    return joined


def _cut_along(boxes: Boxes, axis: int) -> Boxes:
    """Cut the boxes into pieces whose lengths along the axis are among the edges."""
    begin = boxes.lower[:, axis].copy()
    rest = boxes.size[:, axis].copy()
    pieces = []
    for edge in _EDGES:
        counts = rest // edge
        rows = np.repeat(np.arange(len(boxes)), counts)
        number = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        piece = boxes.take(rows)
        piece.lower[:, axis] = begin[rows] + number * edge
        piece.size[:, axis] = edge
        pieces.append(piece)
        begin += counts * edge
        rest -= counts * edge
    return Boxes(
        np.concatenate([piece.labels for piece in pieces]),
        np.concatenate([piece.lower for piece in pieces]),
        np.concatenate([piece.size for piece in pieces]),
    )
