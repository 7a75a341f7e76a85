"""The Amanatides-Woo walk of many rays in closed form; only `ray_casting` uses it.

A walk goes over the voxel boundaries it meets, nearest first; where boundaries coincide, z goes
before y and y before x. Which voxel a crossing leads to depends on the ray alone: crossing number
n of one axis has a known distance, and counting the crossings of the other two axes up to that
distance gives the voxel it enters and, as the sum of the counts, that voxel's rank on the walk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from gfocc_core.grid import VoxelGrid

_AXES = (0, 1, 2)
_SLOWEST = 1e-30
"""Speed that stands in for zero: such a ray's next boundary lies beyond all others, yet finite."""
_MARGIN = 0.01
"""Voxels by which a count starts low, far above rounding, before it is settled exactly."""


@dataclass(frozen=True)
class RayWalks:
    """R walks from the first voxel inside the grid; lengths in voxels, one column per axis.

    All tensors are floating point, whole numbers included, so that none needs converting.
    """

    first: Tensor
    """[R, 3] way along the axis to its first boundary."""
    speed: Tensor
    """[R, 3] way along the axis per unit of distance."""
    pace: Tensor
    """[R, 3] distance from one boundary of the axis to the next."""
    limit: Tensor
    """[R, 3] number of the crossing that leaves the grid; all 0 for a ray that never enters it."""
    step: Tensor
    """[R, 3] -1, 0 or 1: change of the voxel's index by a crossing."""
    cell: Tensor
    """[R, 3] index of the first voxel."""
    start: Tensor
    """[R] flat index of the first voxel."""

    def __len__(self) -> int:
        return self.first.shape[0]

    def __getitem__(self, rays: Tensor | slice) -> RayWalks:
        return RayWalks(**{f.name: getattr(self, f.name)[rays] for f in fields(self)})

    @property
    def enters(self) -> Tensor:
        """bool [R]: whether the ray meets the grid at all."""
        return (self.limit > 0).all(1)

    def visit(self, axis: int, crossing: Tensor, grid: VoxelGrid) -> tuple[Tensor, Tensor]:
        """The voxels that crossings of one axis enter.

        Args:
            axis: the axis that is crossed.
            crossing: [R or 1, S] number of the crossing, counted from 1.
            grid: the grid the walks began in.

        Returns:
            [R, S] rank on the walk (the first voxel has 0), infinite outside of the grid; and
            [R, S] flat index, one past the last voxel outside of it.
        """
        counts = self.counts_at(axis, crossing)
        x, y, z = (count < self.limit[:, i, None] for i, count in enumerate(counts))
        outside = (x & y).logical_and_(z).logical_not_()
        strides = (grid.shape[1] * grid.shape[2], grid.shape[2], 1)
        flat = self.start[:, None]
        for i, count in enumerate(counts):
            flat = torch.addcmul(flat, count, self.step[:, i, None], value=strides[i])
        rank = counts[0] + counts[1] + counts[2]
        return rank.masked_fill_(outside, math.inf), flat.masked_fill_(outside, grid.num_voxels)

    def counts_at(self, axis: int, crossing: Tensor) -> list[Tensor]:
        """Crossings of x, y and z ([R or 1, S] each) made right after a crossing of one axis."""
        distance = self._distance(axis, crossing - 1)
        return [
            crossing if other == axis else self._count(other, distance, inclusive=other > axis)
            for other in _AXES
        ]

    def exits(self, counts: Tensor) -> Tensor:
        """Distance [..., R] at which rays leave the voxel that crossings [..., R, 3] led to."""
        return ((counts + self.first) * self.pace).amin(-1)

    def _distance(self, axis: int, crossings: Tensor) -> Tensor:
        """Distance ([R, S]) of the crossing that follows so many ([R or 1, S]) of an axis."""
        return (crossings + self.first[:, axis, None]) * self.pace[:, axis, None]

    def _count(self, axis: int, distance: Tensor, *, inclusive: bool) -> Tensor:
        """How many crossings of an axis lie before a distance ([R, S]) or, inclusive, not beyond."""
        reach = distance * self.speed[:, axis, None]
        low = reach.sub_(self.first[:, axis, None] + (_MARGIN - 1)).floor_().clamp_(min=0)
        following = self._distance(axis, low)
        return low.add_(following <= distance if inclusive else following < distance)


def begin_walks(origins: Tensor, directions: Tensor, grid: VoxelGrid) -> RayWalks:
    """Walks of rays in a grid.

    Args:
        origins: [R, 3] metres, in the grid's frame, inside or outside of it.
        directions: [R, 3]; their dtype is what the walk is computed in.
        grid: where the voxels lie.
    """
    lower = origins.new_tensor(grid.lower, dtype=torch.float64)
    shape = lower.new_tensor(grid.shape)
    # In double precision, since an origin right at a boundary decides about the first voxel.
    position = (origins.double() - lower) / grid.voxel_size
    step = directions.sign().double()
    still = step == 0
    cell = position.floor()
    inside = (cell >= 0) & (cell < shape)
    first = torch.where(step > 0, cell + 1 - position, position - cell)
    limit = torch.where(step > 0, shape - cell, cell + 1).clamp(min=0)
    walks = RayWalks(
        first=torch.where(still, 1.0, first).to(directions),
        speed=directions.abs(),
        pace=1 / directions.abs().clamp(min=_SLOWEST),
        limit=torch.where(still, inside.double(), limit).to(directions),
        step=step.to(directions),
        cell=cell.to(directions),
        start=grid.flatten_index(cell).to(directions),
    )
    if bool(inside.all()):
        return walks
    ahead = torch.where(step > 0, -cell, cell - shape + 1).clamp(min=0)
    return _enter(walks, torch.where(still, 0.0, ahead).to(directions), grid)


def _enter(walks: RayWalks, ahead: Tensor, grid: VoxelGrid) -> RayWalks:
    """Advance walks from outside to their first voxel inside, `ahead` [R, 3] crossings away."""
    counts = torch.stack(
        [torch.cat(walks.counts_at(axis, ahead[:, axis, None]), 1) for axis in _AXES]
    )
    counts = torch.where((ahead > 0).T.unsqueeze(-1), counts, 0.0)
    # Of the crossings that each axis needs, the last one on the walk is the one that enters.
    last = counts.sum(-1).argmax(0)
    made = counts[last, torch.arange(len(walks), device=last.device)]
    enters = (made < walks.limit).all(1, keepdim=True)
    cell = torch.where(enters, walks.cell + made * walks.step, 0.0)
    return replace(
        walks,
        first=walks.first + made,
        limit=torch.where(enters, walks.limit - made, 0.0),
        cell=cell,
        start=grid.flatten_index(cell),
    )
