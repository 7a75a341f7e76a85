"""Bare worlds for the sensors, far from the origin: a plane, the objects one asks for, full sun."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gfocc_core.synthetic.parts import BOX, Array, ObjectModel, Part
from gfocc_core.synthetic.rig import CameraSpec, ego_from_sensor, intrinsics_of
from gfocc_core.synthetic.world import Ground, Lighting, Trajectory, World, WorldObject

CENTER = np.array([310.0, -275.0])
"""Where the ego stands, world x and y."""
LIGHT = Lighting(
    (0.6, 0.0, 0.8), (1.0, 1.0, 1.0), (0.3, 0.3, 0.3), (0.8, 0.85, 0.9), (0.4, 0.6, 0.9), 500.0
)


def plane(slope: float = 0.0, label: int = 11) -> Ground:
    """100 m x 100 m around CENTER, at z = 0 there, climbing along x."""
    posts = 51
    x = np.arange(posts) * 2.0 - 50
    return Ground(
        (CENTER[0] - 50, CENTER[1] - 50),
        0.25,
        np.full((400, 400), label, np.uint8),
        np.full((400, 400, 3), 128, np.uint8),
        2.0,
        np.broadcast_to(slope * x, (posts, posts)).astype(np.float32),
    )


def box_model(label: int, half: tuple[float, float, float], material: str = "plain") -> ObjectModel:
    """A white box that stands on the ground."""
    return ObjectModel(label, (Part(BOX, (0, 0, half[2]), half, (230, 230, 230), material),))


def at(model: ObjectModel, x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> WorldObject:
    """An object that stands at metres from CENTER."""
    return WorldObject(model, Trajectory.fixed((CENTER[0] + x, CENTER[1] + y, z), (yaw, 0.0, 0.0)))


def moving(
    model: ObjectModel, start: tuple[float, float], velocity: tuple[float, float], yaw: float = 0.0
) -> WorldObject:
    """An object that passes `start` (metres from CENTER) at time 0."""
    times = np.array([-10.0, 3.0, 10.0])
    xy = CENTER + start + times[:, None] * np.asarray(velocity)
    angles = np.tile([yaw, 0.0, 0.0], (3, 1))
    return WorldObject(model, Trajectory(times, np.c_[xy, np.zeros(3)], angles))


def world_of(
    objects: Sequence[WorldObject] = (),
    ground: Ground | None = None,
    ego: Trajectory | None = None,
    light: Lighting = LIGHT,
) -> World:
    """The ego at CENTER looks along x."""
    stands = Trajectory.fixed((*CENTER, 0.0), (0.0, 0.0, 0.0))
    return World("bare", ground or plane(), tuple(objects), ego or stands, light, seed=11)


def project(world: World, camera: CameraSpec, time: float, point: Array) -> tuple[Array, float]:
    """Pixel [2] and depth of a world point [3]."""
    world_from_cam = world.ego.pose_at(time) @ ego_from_sensor(camera)
    local = np.linalg.inv(world_from_cam) @ [*point, 1.0]
    pixel = intrinsics_of(camera) @ local[:3] / local[2]
    return pixel[:2], float(local[2])
