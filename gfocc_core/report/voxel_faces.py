"""The faces of occupied voxels that one can see from a point, coloured and shaded.

Only faces towards free space and towards the eye are made: a fraction of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfocc_core.grid import VoxelGrid
from gfocc_core.report.style import PALETTE, PANEL
from gfocc_core.taxonomy import FREE_ID

_LIGHT = {(0, 1): 0.86, (0, -1): 0.8, (1, 1): 0.72, (1, -1): 0.9, (2, 1): 1.0, (2, -1): 0.5}
"""Brightness by (axis, direction) of the face's normal: a high sun from the right."""
_CORNER_SHADE = 0.075
"""What each of the four neighbours that tower over a face takes of its light."""
UNSEEN_FADE = 0.66
"""How far the colour of a voxel that no camera sees fades into the ground."""


@dataclass(frozen=True)
class VoxelFaces:
    """Quads in the grid's frame."""

    corners: NDArray[np.float32]
    """[F, 4, 3] metres, in order around the face."""
    colors: NDArray[np.uint8]
    """[F, 3] RGB."""

    def __len__(self) -> int:
        return len(self.corners)

    @classmethod
    def joined(cls, parts: Sequence[VoxelFaces]) -> VoxelFaces:
        """All faces of several."""
        return cls(
            np.concatenate([part.corners for part in parts]),
            np.concatenate([part.colors for part in parts]),
        )


def faces_towards(
    eye: NDArray[Any],
    labels: NDArray[np.uint8],
    grid: VoxelGrid,
    seen: NDArray[np.bool_] | None = None,
) -> VoxelFaces:
    """Faces of the occupied voxels that look at a point.

    Args:
        eye: [3] metres, grid frame.
        labels: [X, Y, Z] Occ3D ids.
        grid: where the voxels lie.
        seen: [X, Y, Z]; voxels that are False fade. None: all are seen.
    """
    padded = np.pad(labels != FREE_ID, 1)
    place = (np.asarray(eye) - grid.lower) / grid.voxel_size
    colors = _voxel_colors(labels, seen)
    corners, shaded = [], []
    for (axis, direction), light in _LIGHT.items():
        index = _exposed(padded, axis, direction, place[axis])
        shade = light * (1 - _CORNER_SHADE * _towering(padded, index, axis, direction))
        corners.append(_quads(index, axis, direction))
        shaded.append(colors[tuple(index.T)] * shade[:, None])
    metres = np.concatenate(corners) * grid.voxel_size + np.array(grid.lower)
    return VoxelFaces(metres.astype(np.float32), np.concatenate(shaded).astype(np.uint8))


def box_faces(
    eye: NDArray[Any],
    lower: tuple[float, float, float],
    upper: tuple[float, float, float],
    color: tuple[int, int, int],
) -> VoxelFaces:
    """Faces of one solid box (metres) that look at a point."""
    low, high = np.array(lower), np.array(upper)
    quads, shaded = [], []
    for (axis, direction), light in _LIGHT.items():
        plane = high[axis] if direction > 0 else low[axis]
        if (eye[axis] - plane) * direction > 0:
            unit = _quads(np.zeros((1, 3), np.int64), axis, direction)
            quads.append(low + unit * (high - low))
            shaded.append(np.array(color) * light)
    return VoxelFaces(np.concatenate(quads).astype(np.float32), np.array(shaded).astype(np.uint8))


def _voxel_colors(labels: NDArray[np.uint8], seen: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    colors = PALETTE[labels].astype(np.float32)
    # A faint chequer, so that single voxels can be told apart on large surfaces.
    even = np.indices(labels.shape).sum(0) % 2 == 0
    colors[even] *= 0.955
    if seen is not None:
        colors[~seen] += UNSEEN_FADE * (np.array(PANEL, np.float32) - colors[~seen])
    return colors


def _exposed(padded: NDArray[np.bool_], axis: int, direction: int, eye: float) -> NDArray[np.int64]:
    """Indices [F, 3] of voxels whose face on that side is bare and turned to the eye."""
    inner = padded[1:-1, 1:-1, 1:-1]
    outward = np.roll(padded, -direction, axis)[1:-1, 1:-1, 1:-1]
    index = np.argwhere(inner & ~outward)
    plane = index[:, axis] + (direction + 1) // 2
    return index[(eye - plane) * direction > 0]


def _towering(
    padded: NDArray[np.bool_], index: NDArray[np.int64], axis: int, direction: int
) -> NDArray[np.float32]:
    """How many of the four voxels beside the cell before each face are occupied: 0 to 4."""
    before = index + 1
    before[:, axis] += direction
    count = np.zeros(len(index), np.float32)
    for side in (other for other in range(3) if other != axis):
        for step in (-1, 1):
            beside = before.copy()
            beside[:, side] += step
            count += padded[tuple(beside.T)]
    return count


def _quads(index: NDArray[np.int64], axis: int, direction: int) -> NDArray[np.float32]:
    """Corners [F, 4, 3] in voxels from the grid's lowest corner."""
    first, second = (other for other in range(3) if other != axis)
    corner = np.zeros((4, 3), np.float32)
    corner[:, axis] = (direction + 1) // 2
    corner[[1, 2], first] = 1
    corner[[2, 3], second] = 1
    return index[:, None].astype(np.float32) + corner
