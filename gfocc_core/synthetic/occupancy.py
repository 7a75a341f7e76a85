"""Exact occupancy of the world: every voxel that holds a piece of the ground or of an object.

Frame: ego at the time asked for. Where several things share a voxel, it is called what stands out:
what moves by itself before what stands about, that before buildings, plants and the ground. What
only grazes a voxel of the ground does not take it from the ground.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gfocc_core.grid import VoxelGrid
from gfocc_core.synthetic.overlap import touched_voxels
from gfocc_core.synthetic.parts import Array
from gfocc_core.synthetic.placed_parts import PlacedParts
from gfocc_core.synthetic.world import Ground, World
from gfocc_core.taxonomy import CLASS_NAMES, DYNAMIC_IDS, FREE_ID

GRAZING = 0.1
"""Share of a voxel's edge: an object that reaches less deep into it only grazes it."""

Labels = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]

_GRAZE_RANK, _GROUND_RANK = 0, 1
_RANKS = np.full(len(CLASS_NAMES), 4, np.uint8)
_RANKS[CLASS_NAMES.index("vegetation")] = 2
_RANKS[CLASS_NAMES.index("manmade")] = 3
_RANKS[list(DYNAMIC_IDS)] = 5


def occupancy_of(world: World, time: float, grid: VoxelGrid) -> Labels:
    """Occ3D ids uint8 [X, Y, Z] at a time; for many times of one world use OccupancyTruth."""
    return OccupancyTruth(world).at(time, grid)


class OccupancyTruth:
    """The occupancy of one world at any time; what stands still is placed only once."""

    def __init__(self, world: World) -> None:
        self._world = world
        still = [item for item in world.objects if not item.path.moves]
        self._moving = [item for item in world.objects if item.path.moves]
        self._moving_parts = PlacedParts.of(self._moving)
        self._still_parts = PlacedParts.of(still).moved(_poses([i.path.pose_at(0) for i in still]))

    def at(self, time: float, grid: VoxelGrid) -> Labels:
        """Occ3D ids uint8 [X, Y, Z] in the ego frame of a time; 17 is free."""
        world_from_ego = self._world.ego.pose_at(time)
        poses = _poses([item.path.pose_at(time) for item in self._moving])
        parts = self._still_parts.joined(self._moving_parts.moved(poses))
        parts = parts.moved(np.linalg.inv(world_from_ego))
        overlaps = touched_voxels(parts, grid)
        labels = parts.labels[overlaps.parts]
        ranks = np.where(
            overlaps.depths < GRAZING * grid.voxel_size, np.uint8(_GRAZE_RANK), _RANKS[labels]
        )
        volume = np.full(grid.shape, FREE_ID, np.uint8)
        flat = volume.reshape(-1)
        ground = _GroundColumns(self._world.ground, world_from_ego, grid)
        for rank in range(int(_RANKS.max()) + 1):
            if rank == _GROUND_RANK:
                ground.paint(volume)
                continue
            chosen = ranks == rank
            flat[overlaps.voxels[chosen]] = labels[chosen]
        ground.clear_below(volume)
        return volume


class _GroundColumns:
    """Through which voxels of each column the ground's surface passes, and its label there."""

    def __init__(self, ground: Ground, world_from_ego: Array, grid: VoxelGrid) -> None:
        x, y, z = (
            low + np.arange(count + 1) * grid.voxel_size
            for low, count in zip(grid.lower, grid.shape, strict=True)
        )
        heights = _heights(ground, world_from_ego, x, y)
        corners = (heights[:-1, :-1], heights[1:, :-1], heights[:-1, 1:], heights[1:, 1:])
        low, high = np.minimum.reduce(corners), np.maximum.reduce(corners)
        edge = np.float64(grid.voxel_size)
        self._first = np.floor((low - z[0]) / edge).astype(np.int64)
        self._last = np.floor((high - z[0]) / edge).astype(np.int64)
        middle = np.stack(
            np.broadcast_arrays(x[:-1, None] + edge / 2, y[None, :-1] + edge / 2, (low + high) / 2),
            -1,
        )
        rotation, shift = world_from_ego[:2, :3], world_from_ego[:2, 3]
        self._labels = ground.label_at(middle @ rotation.T + shift)
        self._depth = grid.shape[2]

    def paint(self, volume: Labels) -> None:
        for step in range(int((self._last - self._first).max()) + 1):
            level = self._first + step
            here = (level <= self._last) & (level >= 0) & (level < self._depth)
            x, y = np.nonzero(here)
            volume[x, y, level[here]] = self._labels[here]

    def clear_below(self, volume: Labels) -> None:
        """Nothing is below the ground: foundations and roots are not part of the truth."""
        buried = np.arange(self._depth) < self._first[..., None]
        volume[buried] = FREE_ID


def _heights(ground: Ground, world_from_ego: Array, x: Array, y: Array) -> Array:
    """Where vertical lines of the ego frame meet the ground: z [X, Y] in the ego frame."""
    rotation, shift = world_from_ego[:3, :3], world_from_ego[:3, 3]
    flat = x[:, None, None] * rotation[:, 0] + y[None, :, None] * rotation[:, 1] + shift
    z = np.zeros(flat.shape[:2])
    for _ in range(2):  # slopes are gentle: the second step moves less than a millimetre
        height = ground.height_at(flat[..., :2] + z[..., None] * rotation[:2, 2])
        z = (height - flat[..., 2]) / rotation[2, 2]
    return z


def _poses(poses: list[Array]) -> Array:
    return np.stack(poses) if poses else np.zeros((0, 4, 4))
