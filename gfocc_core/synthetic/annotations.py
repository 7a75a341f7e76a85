"""Boxes of what nuScenes annotates, with what the sensors saw of each object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gfocc_core.synthetic.keyframe_record import AnnotationRecord, PoseRecord
from gfocc_core.synthetic.nuscenes_vocabulary import attribute_of, visibility_token
from gfocc_core.synthetic.parts import BOX, CYLINDER, ELLIPSOID, Array
from gfocc_core.synthetic.placed_parts import PlacedParts
from gfocc_core.synthetic.shots import LidarSweep
from gfocc_core.synthetic.world import World

ANNOTATED_RADIUS = 60.0
"""Metres around the ego within which objects are annotated."""
_NEAR_PLANE = 0.1
# Where in a part's box its samples lie: inside the solid, so that their pixels show the object.
_LATTICE = np.stack(np.meshgrid(*[np.linspace(-0.75, 0.75, 4)] * 3, indexing="ij"), -1)
_FIT = {BOX: (1.0, 1.0, 1.0), CYLINDER: (0.8, 0.8, 1.0), ELLIPSOID: (0.7, 0.7, 0.7)}


@dataclass(frozen=True)
class Sighting:
    """Which object each pixel of one camera shows."""

    objects: npt.NDArray[np.int32]
    """[H, W] index into World.objects or NO_OBJECT."""
    intrinsics: Array
    """[3, 3]"""
    world_from_cam: Array
    """[4, 4]"""
    time: float
    """Seconds of the world."""


def annotate(
    world: World, time: float, sightings: Sequence[Sighting], sweep: LidarSweep
) -> tuple[AnnotationRecord, ...]:
    """Annotations of a keyframe, in the order of the world's objects.

    Args:
        world: Whose objects.
        time: The keyframe's, seconds of the world.
        sightings: Of all cameras, for the visibility.
        sweep: The keyframe's, for the number of points.
    """
    ego = world.ego.pose_at(time)[:3, 3]
    poses = {
        number: item.path.pose_at(time)
        for number, item in enumerate(world.objects)
        if item.model.category
    }
    near = [
        number
        for number, pose in poses.items()
        if np.linalg.norm(pose[:2, 3] - ego[:2]) <= ANNOTATED_RADIUS
    ]
    shares = visible_shares(world, near, sightings)
    points = np.bincount(sweep.objects + 1, minlength=len(world.objects) + 1)[1:]
    annotations = []
    for number, share in zip(near, shares, strict=True):
        item = world.objects[number]
        length, width, height = item.model.size
        box = poses[number].copy()
        box[:3, 3] += box[:3, 2] * (height / 2)
        speed = float(np.linalg.norm(item.path.velocity_at(time)))
        annotations.append(
            AnnotationRecord(
                object=number,
                category=item.model.category,
                attribute=attribute_of(item.model.category, speed, item.path.moves),
                visibility=visibility_token(share),
                global_from_box=PoseRecord.of(box),
                size_wlh=(width, length, height),
                lidar_points=int(points[number]),
            )
        )
    return tuple(annotations)


def visible_shares(
    world: World, numbers: Sequence[int], sightings: Sequence[Sighting]
) -> list[float]:
    """How much of each object shows, 0 to 1, of what lies in the field of view of any camera.

    Points spread through the object's parts count where the pixel that they project to shows the
    object; each part has the weight of its largest face.
    """
    if not numbers:
        return []
    objects = [world.objects[number] for number in numbers]
    resting = [item.path.pose_at(0) for item in objects]
    parts = PlacedParts.of(objects)
    samples = _samples(parts)
    largest = np.sort(parts.half, 1)
    weights = largest[:, 1] * largest[:, 2]
    in_view = np.zeros(samples.shape[:2], bool)
    shown = np.zeros_like(in_view)
    for sighting in sightings:
        poses = np.stack(
            [
                item.path.pose_at(sighting.time) if item.path.moves else pose
                for item, pose in zip(objects, resting, strict=True)
            ]
        )
        pixels_from_world = sighting.intrinsics @ np.linalg.inv(sighting.world_from_cam)[:3]
        pixels_from_object = (pixels_from_world @ poses).astype(np.float32)[parts.owners]
        points = samples @ pixels_from_object[:, :, :3].transpose(0, 2, 1)
        points += pixels_from_object[:, None, :, 3]
        height, width = sighting.objects.shape
        ahead = np.nonzero(points[..., 2] > _NEAR_PLANE)
        u, v, depth = points[ahead].T
        column, row = np.floor(u / depth).astype(np.int64), np.floor(v / depth).astype(np.int64)
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        part, sample = ahead[0][inside], ahead[1][inside]
        in_view[part, sample] = True
        found = sighting.objects[row[inside], column[inside]]
        shown[part, sample] |= found == np.asarray(numbers)[parts.owners[part]]
    total = np.bincount(parts.owners, weights * in_view.sum(1), len(numbers))
    visible = np.bincount(parts.owners, weights * shown.sum(1), len(numbers))
    shares: list[float] = (visible / np.maximum(total, 1e-9)).tolist()
    return shares


def _samples(parts: PlacedParts) -> npt.NDArray[np.float32]:
    """Points [P, S, 3] inside the parts, in the parts' frame of reference."""
    fit = np.array([_FIT[int(kind)] for kind in parts.kinds])
    local = _LATTICE.reshape(1, -1, 3) * (fit * parts.half)[:, None, :]
    points = local @ parts.rotations.transpose(0, 2, 1) + parts.centers[:, None, :]
    return points.astype(np.float32)
