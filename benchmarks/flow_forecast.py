"""Forecasts of a keyframe next to the ground truth of later ones, around what moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from flow_objects import NOBODY, AnnotatedObject, owners
from flow_velocity import MARGIN
from torch import Tensor

from gfocc_core.config import Config
from gfocc_core.data.occ3d import Occ3dLabels
from gfocc_core.gaussians import Gaussians
from gfocc_core.geometry import invert_transform, transform_points
from gfocc_core.metrics.accumulators import OccupancyIoU
from gfocc_core.metrics.iou import intersection_over_union
from gfocc_core.metrics.label_resampling import resample_labels
from gfocc_core.model.heads import is_dynamic
from gfocc_core.taxonomy import DYNAMIC_IDS, FREE_ID
from gfocc_core.temporal import ego_motion
from gfocc_core.voxelizer.api import voxelize_labels

STILL, GONE, FLOW, TRUE = "stand still", "vanish", "follow the flow", "follow the annotations"
"""What Gaussians of dynamic classes may do until later; the last is what a perfect flow is worth."""


@dataclass(frozen=True)
class Moment:
    """A keyframe, with what was predicted then; all in its ego frame."""

    global_from_ego: Tensor
    """float64 [4, 4]"""
    objects: Sequence[AnnotatedObject]
    moving: Tensor
    """bool [X, Y, Z], see moving_region."""
    gaussians: Gaussians
    """N of them, which no later frame overwrites."""
    ahead: Mapping[int, Tensor]
    """uint8 [X, Y, Z] labels that the flow leads to, by steps ahead; 0 is the present."""


@dataclass(frozen=True)
class ForecastRow:
    """Scores of one way, per cent, in voxels that cameras see around what moves or moved."""

    steps: int
    seconds: float
    way: str
    keyframes: int
    voxels: int
    moving_miou: float
    """Mean over the dynamic ids."""
    moving_dynamic_iou: float
    """Of any dynamic id, whichever, versus all else."""
    moving_iou: float
    """Occupied versus free."""


class ForecastTally:
    """Adds up pairs of keyframes."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._scores: dict[tuple[int, str], OccupancyIoU] = {}
        self._keyframes: dict[int, int] = {}

    def add(self, steps: int, then: Moment, now: Moment, truth: Occ3dLabels) -> None:
        """Compare what a moment said about one `steps` keyframes later with the truth of the latter.

        What counts: voxels that cameras see now, the grid reached then, and that lie around what
        moves now or around where things were that moved then: a ghost left behind is an error too.
        """
        grid = self._config.grid
        then_from_now = ego_motion(now.global_from_ego, then.global_from_ego)
        zone = resample_labels(then.moving.byte(), then_from_now, grid)  # free: out of reach
        mask = truth.mask_camera & (zone != FREE_ID) & ((zone == 1) | now.moving)
        for way, labels in self._labels(steps, then, now, then_from_now).items():
            metric = self._scores.setdefault((steps, way), OccupancyIoU().to(labels.device))
            metric.update(resample_labels(labels, then_from_now, grid), truth.semantics, mask)
        self._keyframes[steps] = self._keyframes.get(steps, 0) + 1

    def _labels(
        self, steps: int, then: Moment, now: Moment, then_from_now: Tensor
    ) -> dict[str, Tensor]:
        """Of every way, in the ego frame of then."""
        if steps == 0:
            return {STILL: then.ahead[0]}
        moved = follow_annotations(then.gaussians, then.objects, now.objects, then_from_now)
        hidden = then.gaussians.opacities * ~is_dynamic(then.gaussians.logits)
        gone, exact = (
            voxelize_labels(it, self._config.grid, self._config.occupancy)[0]
            for it in (replace(then.gaussians, opacities=hidden), moved)
        )
        return {STILL: then.ahead[0], GONE: gone, FLOW: then.ahead[steps], TRUE: exact}

    def rows(self) -> list[ForecastRow]:
        return [self._row(*key) for key in sorted(self._scores, key=lambda key: key[0])]

    def _row(self, steps: int, way: str) -> ForecastRow:
        metric = self._scores[steps, way]
        scores, confusion, dynamic = metric.compute(), metric.confusion, list(DYNAMIC_IDS)
        counted = confusion[dynamic], confusion[:, dynamic]
        hits = counted[0][:, dynamic].sum()
        return ForecastRow(
            steps=steps,
            seconds=steps * self._config.temporal.frame_interval,
            way=way,
            keyframes=self._keyframes[steps],
            voxels=int(confusion.sum()),
            moving_miou=float(scores["per_class_a"][dynamic].nanmean()),
            moving_dynamic_iou=100
            * float(intersection_over_union(hits, counted[0].sum(), counted[1].sum())),
            moving_iou=float(scores["iou_a"]),
        )


def follow_annotations(
    gaussians: Gaussians,
    objects_then: Sequence[AnnotatedObject],
    objects_now: Sequence[AnnotatedObject],
    then_from_now: Tensor,
) -> Gaussians:
    """Means of dynamic classes carried along by the boxes that they lie in; all else stays.

    Objects that are not annotated any more stay too. Everything is in the ego frame of then.
    """
    later = {it.instance: then_from_now @ it.ego_from_box for it in objects_now}
    motions = [
        later.get(it.instance, it.ego_from_box) @ invert_transform(it.ego_from_box)
        for it in objects_then
    ]
    owner = owners(objects_then, gaussians.means, MARGIN)
    carried = (owner != NOBODY) & is_dynamic(gaussians.logits)
    if not bool(carried.any()):
        return gaussians
    means = gaussians.means.clone()
    motion = torch.stack(motions).to(means)[owner[carried]]
    means[carried] = transform_points(motion, means[carried].unsqueeze(1)).squeeze(1)
    return replace(gaussians, means=means)
