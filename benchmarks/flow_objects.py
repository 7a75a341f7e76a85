"""Annotated people and vehicles in the ego frame of a keyframe, and which points belong to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gfocc_core.data.frames import REFERENCE_CHANNEL
from gfocc_core.data.scenes import get_record
from gfocc_core.data.sensors import global_from_ego, keyframe_reading
from gfocc_core.geometry import invert_transform, transform_from, transform_points

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

VEHICLES, PEOPLE = "vehicle.", "human."
"""Beginnings of the categories that move by themselves."""
NOBODY = -1


@dataclass(frozen=True)
class AnnotatedObject:
    """One box of a keyframe."""

    instance: str
    """The same in every keyframe."""
    category: str
    ego_from_box: Tensor
    """float64 [4, 4]; the box's x points ahead."""
    half: Tensor
    """float64 [3] half of length, width and height, metres."""
    velocity: Tensor
    """float64 [3] m/s over ground in the axes of the ego frame; NaN where it is not known."""

    @property
    def speed(self) -> float:
        return float(self.velocity.norm())


def annotated_objects(nusc: NuScenes, token: str) -> list[AnnotatedObject]:
    """The people and vehicles annotated in a keyframe, in its reference ego frame."""
    sample = get_record(nusc, "sample", token)
    pose = global_from_ego(nusc, keyframe_reading(nusc, sample, REFERENCE_CHANNEL))
    ego_from_global = invert_transform(pose)
    objects = []
    for annotation in sample["anns"]:
        record = get_record(nusc, "sample_annotation", annotation)
        if not record["category_name"].startswith((VEHICLES, PEOPLE)):
            continue
        width, length, height = record["size"]
        global_from_box = transform_from(
            torch.tensor(record["translation"], dtype=torch.float64),
            torch.tensor(record["rotation"], dtype=torch.float64),
        )
        # A velocity is turned but not moved: what it is measured against does not drive along.
        velocity = ego_from_global[:3, :3] @ torch.tensor(nusc.box_velocity(annotation)).double()
        objects.append(
            AnnotatedObject(
                instance=record["instance_token"],
                category=record["category_name"],
                ego_from_box=ego_from_global @ global_from_box,
                half=torch.tensor([length, width, height], dtype=torch.float64) / 2,
                velocity=velocity,
            )
        )
    return objects


def owners(objects: Sequence[AnnotatedObject], points: Tensor, margin: float) -> Tensor:
    """Which object each point belongs to: the one whose box it is deepest in or nearest to.

    Args:
        points: [P, 3] metres, ego frame.
        margin: metres out to which a point beside a box still belongs to it.

    Returns:
        int64 [P] places in `objects`, or NOBODY.
    """
    if not objects:
        return torch.full((len(points),), NOBODY, device=points.device)
    box_from_ego = invert_transform(torch.stack([it.ego_from_box for it in objects]))
    half = torch.stack([it.half for it in objects]).unsqueeze(1)
    inside_box = transform_points(box_from_ego.to(points), points)
    distance, owner = (inside_box.abs() - half.to(points)).amax(-1).min(0)
    return torch.where(distance <= margin, owner, NOBODY)
