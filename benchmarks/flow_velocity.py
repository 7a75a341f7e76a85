"""The flow head's velocities of annotated objects next to their true ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from flow_objects import NOBODY, PEOPLE, VEHICLES, AnnotatedObject, owners
from torch import Tensor

from gfocc_core.config import Config
from gfocc_core.data.occ3d import Occ3dLabels
from gfocc_core.gaussians import Gaussians
from gfocc_core.model.heads import is_dynamic
from gfocc_core.taxonomy import DYNAMIC_IDS
from gfocc_core.training.moving_objects import MIN_SPEED

MARGIN = 0.5
"""Metres around a box in which Gaussians count as the object's."""
STANDING = "what stands"


@dataclass(frozen=True)
class VelocityRow:
    """What a step of the flow says of a group of objects; means over the matched, None without any.

    An object counts once in every keyframe that it is seen in. The true velocity is that of the
    present, at all steps.
    """

    step: int
    group: str
    seen: int
    matched: int
    """Of the seen ones: Gaussians of a dynamic class are there."""
    instances: int
    """Different objects among the matched."""
    speed: float | None
    """True, m/s: the error of the guess that everything stands still."""
    flow_speed: float | None
    """m/s"""
    error: float | None
    """Distance of the flow's velocity from the true one, m/s."""
    recovered: float | None
    """Per cent: the flow's velocity along the true direction, of the true speed."""
    right_way: float | None
    """Per cent of the objects whose flow points into the true direction's half of space."""
    correlation_ahead: float | None
    """Pearson's, of the flow's and the true x; None too where either never changes."""
    correlation_aside: float | None
    """The same of y."""
    rise: float | None
    """Metres up that the step's offset takes them."""


@dataclass(frozen=True)
class _Sighting:
    instance: str
    category: str
    true: Tensor
    """[3] m/s"""
    flow: Tensor | None
    """[3] m/s; None: no Gaussian of a dynamic class is there."""


class VelocityTally:
    """Collects keyframes for one step of the flow."""

    def __init__(self, step: int, config: Config) -> None:
        self._step, self._grid = step, config.grid
        self._seconds = step * config.temporal.frame_interval
        self._sightings: list[_Sighting] = []

    def add(
        self,
        objects: Sequence[AnnotatedObject],
        gaussians: Gaussians,
        offsets: Tensor,
        truth: Occ3dLabels,
    ) -> None:
        """Compare one keyframe's objects that cameras see with its N Gaussians.

        Args:
            offsets: [N, 3] metres over ground in the ego frame's axes, of this step.
            truth: on any device; says what is seen.
        """
        moves = is_dynamic(gaussians.logits)
        owner = owners(objects, gaussians.means[moves], MARGIN)
        owned = owner != NOBODY
        weight = gaussians.opacities[moves][owned].unsqueeze(-1)
        sums = weight.new_zeros(len(objects), 4)
        sums.index_add_(0, owner[owned], torch.cat([weight * offsets[moves][owned], weight], -1))
        sums = sums.double().cpu()
        for place in self._seen(objects, truth):
            it, total = objects[place], sums[place, 3]
            flow = sums[place, :3] / total / self._seconds if total > 0 else None
            self._sightings.append(_Sighting(it.instance, it.category, it.velocity, flow))

    def _seen(self, objects: Sequence[AnnotatedObject], truth: Occ3dLabels) -> list[int]:
        """Places of objects of known velocity with a voxel of a dynamic class in a camera's view."""
        dynamic = torch.isin(
            truth.semantics, torch.tensor(DYNAMIC_IDS, device=truth.semantics.device)
        )
        voxels = self._grid.centers_of((dynamic & truth.mask_camera).nonzero())
        found = owners(objects, voxels, self._grid.voxel_size / 2).unique().tolist()
        return [at for at in found if at != NOBODY and not objects[at].velocity.isnan().any()]

    def rows(self) -> list[VelocityRow]:
        """Moving vehicles, moving people, both together, and what stands."""

        def moving(beginning: str) -> Callable[[_Sighting], bool]:
            return lambda it: bool(it.true.norm() > MIN_SPEED) and it.category.startswith(beginning)

        groups = {
            "moving vehicles": moving(VEHICLES),
            "moving people": moving(PEOPLE),
            "all that moves": moving(""),
            STANDING: lambda it: bool(it.true.norm() <= MIN_SPEED),
        }
        return [
            _row(self._step, self._seconds, name, [it for it in self._sightings if belongs(it)])
            for name, belongs in groups.items()
        ]


def _row(step: int, seconds: float, group: str, sightings: Sequence[_Sighting]) -> VelocityRow:
    matched = [it for it in sightings if it.flow is not None]
    counts = (len(sightings), len(matched), len({it.instance for it in matched}))
    if not matched:
        return VelocityRow(step, group, *counts, *[None] * 8)
    true = torch.stack([it.true for it in matched])
    flow = torch.stack([it.flow for it in matched if it.flow is not None])
    along, speed = (flow * true).sum(-1), true.norm(dim=-1)
    recovered = right_way = None
    if group != STANDING:
        recovered = 100 * float((along / speed).sum() / speed.sum())
        right_way = 100 * float((along > 0).double().mean())
    return VelocityRow(
        step,
        group,
        *counts,
        speed=float(speed.mean()),
        flow_speed=float(flow.norm(dim=-1).mean()),
        error=float((flow - true).norm(dim=-1).mean()),
        recovered=recovered,
        right_way=right_way,
        correlation_ahead=_correlation(flow[:, 0], true[:, 0]),
        correlation_aside=_correlation(flow[:, 1], true[:, 1]),
        rise=seconds * float(flow[:, 2].mean()),
    )


def _correlation(first: Tensor, second: Tensor) -> float | None:
    if len(first) < 2 or min(first.std(), second.std()) == 0:
        return None
    return float(torch.corrcoef(torch.stack([first, second]))[0, 1])
