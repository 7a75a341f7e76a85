"""Small hand-made worlds whose truth is known on paper."""

from __future__ import annotations

import numpy as np

from gfocc_core.synthetic.parts import BOX, CYLINDER, ELLIPSOID, ObjectModel, Part
from gfocc_core.synthetic.world import Ground, Lighting, Trajectory, World, WorldObject

LIGHT = Lighting((0.3, 0.2, 0.93), (1.0, 1.0, 1.0), (0.5, 0.5, 0.5), (0.7,) * 3, (0.4,) * 3, 500.0)
CAR_SPEED = 4.0


def flat_ground(label: int = 11, slope: float = 0.0, extent: float = 90.0) -> Ground:
    """Ground around the origin that climbs along x."""
    pixels, posts = int(2 * extent), int(extent) + 1
    labels = np.full((pixels, pixels), label, np.uint8)
    labels[: pixels // 2 - 6] = 13
    colors = np.full((pixels, pixels, 3), 110, np.uint8)
    x = (np.arange(posts) * 2.0 - extent).astype(np.float32)
    heights = np.broadcast_to(slope * x, (posts, posts)).astype(np.float32)
    return Ground((-extent, -extent), 1.0, labels, colors, 2.0, heights)


def box_part(center: tuple[float, float, float], half: tuple[float, float, float]) -> Part:
    return Part(BOX, center, half, (200, 60, 40))


def car_model() -> ObjectModel:
    wheels = tuple(
        Part(CYLINDER, (x, y, 0.35), (0.35, 0.35, 0.12), (20, 20, 20), angles=(0, 0, np.pi / 2))
        for x in (-1.4, 1.4)
        for y in (-0.85, 0.85)
    )
    body = (box_part((0, 0, 0.7), (2.3, 0.97, 0.45)), box_part((-0.2, 0, 1.4), (1.2, 0.85, 0.33)))
    return ObjectModel(4, (*body, *wheels), "vehicle.car")


def tree_model() -> ObjectModel:
    return ObjectModel(
        16,
        (
            Part(CYLINDER, (0, 0, 1.5), (0.2, 0.2, 1.5), (90, 60, 30)),
            Part(ELLIPSOID, (0, 0, 4.0), (1.8, 1.5, 1.6), (30, 110, 30), angles=(0.4, 0.2, 0)),
        ),
    )


def house_model() -> ObjectModel:
    return ObjectModel(15, (box_part((0, 0, 3), (5, 3, 3)),))


def person_model() -> ObjectModel:
    part = Part(CYLINDER, (0, 0, 0.9), (0.3, 0.3, 0.9), (20, 20, 200))
    return ObjectModel(7, (part,), "human.pedestrian.adult")


def street_world(name: str = "street", seed: int = 3, slope: float = 0.0) -> World:
    """The ego drives along x at 5 m/s; a car ahead at CAR_SPEED, one parked, trees, a house."""
    tilt = (0.0, -np.arctan(slope), 0.0)

    def on_ground(x: float, y: float) -> tuple[float, float, float]:
        return (x, y, slope * x)

    def drive(start: float, y: float, speed: float, yaw: float = 0.0) -> Trajectory:
        times = np.linspace(-1, 6, 15)
        x = start + times * speed
        angles = np.tile([yaw, tilt[1] if yaw == 0 else -tilt[1], 0.0], (times.size, 1))
        return Trajectory(times, np.stack([x, np.full_like(x, y), slope * x], 1), angles)

    still = (
        (car_model(), (7.0, -4.0), 0.3),
        (tree_model(), (9.0, 6.0), 0.0),
        (tree_model(), (-6.0, -7.0), 1.0),
        (house_model(), (16.0, 12.0), 0.5),
        (house_model(), (-15.0, 11.0), -0.2),
        (person_model(), (6.0, 3.0), 0.0),
    )
    objects = [WorldObject(m, Trajectory.fixed(on_ground(*p), (yaw, 0, 0))) for m, p, yaw in still]
    objects.append(WorldObject(car_model(), drive(12.0, -0.2, CAR_SPEED)))
    objects.append(WorldObject(car_model(), drive(25.0, 3.4, -CAR_SPEED, yaw=np.pi)))
    ego = drive(0.0, -0.5, 5.0)
    return World(name, flat_ground(slope=slope), tuple(objects), ego, LIGHT, seed)
