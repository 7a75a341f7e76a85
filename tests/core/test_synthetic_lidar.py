"""Sweeps: beams where the sensor's geometry puts them, points on surfaces, noise that is physical."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gfocc_core.synthetic.parts import ELLIPSOID, ObjectModel, Part
from gfocc_core.synthetic.renderer import SceneRenderer
from gfocc_core.synthetic.rig import RIGS, LidarSpec, ego_from_sensor
from gfocc_core.synthetic.shots import NO_OBJECT, LidarSweep
from gfocc_core.synthetic.world import Trajectory, World
from tests.core.sensor_worlds import CENTER, at, box_model, moving, plane, world_of

LIDAR = RIGS["nuscenes"].lidar
WALL = box_model(15, (0.5, 15.0, 3.0), "concrete")


def from_center(world: World, lidar: LidarSpec, sweep: LidarSweep, time: float = 0.0) -> np.ndarray:
    """The points [M, 3] in world axes around CENTER."""
    pose = world.ego.pose_at(time) @ ego_from_sensor(lidar)
    points = sweep.points[:, :3].astype(np.float64) @ pose[:3, :3].T + pose[:3, 3]
    return points - [*CENTER, 0.0]


def outside_box(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Distance of points [N, 3] to a box's surface."""
    outer = np.linalg.norm(np.maximum(np.maximum(low - points, points - high), 0), axis=1)
    inner = np.minimum(points - low, high - points).min(1)
    return np.where(outer > 0, outer, np.maximum(inner, 0))


def test_points_lie_on_the_surfaces_they_are_attributed_to() -> None:
    ball = ObjectModel(
        16, (Part(ELLIPSOID, (0, 0, 1.5), (1.0, 1.0, 1.0), (40, 90, 40), "foliage"),)
    )
    ego = Trajectory.fixed((*CENTER, 0.0), (0.3, 0.02, -0.03))
    world = world_of([at(WALL, 12.0, 0.0), at(ball, -6.0, 4.0)], plane(0.04), ego)
    sweep = SceneRenderer(world).sweep(LIDAR, 0.0)
    points = from_center(world, LIDAR, sweep)
    wall, leaves, ground = (sweep.objects == index for index in (0, 1, NO_OBJECT))
    assert min(wall.sum(), leaves.sum(), ground.sum()) > 100
    box = np.array([11.5, -15, 0]), np.array([12.5, 15, 6])
    assert np.quantile(outside_box(points[wall], *box), 0.999) < 0.05
    radius = np.linalg.norm(points[leaves] - [-6.0, 4.0, 1.5], axis=1)
    assert np.quantile(np.abs(radius - 1), 0.99) < 0.05
    near = ground & (np.abs(points[:, :2]).max(1) < 45)
    height = (points[near, 2] - 0.04 * points[near, 0]) / np.hypot(1, 0.04)
    assert np.quantile(np.abs(height), 0.999) < 0.05


def test_ranges_are_exact_and_in_the_promised_order() -> None:
    """Ring r, column c looks to elevations[r] and azimuth (c + 0.5) * 2 pi / columns."""
    lidar = LidarSpec((0.0, 0.0, 1.8), (1.0, 0.0, 0.0, 0.0), rings=8, columns=90)
    sweep = SceneRenderer(world_of([at(WALL, 12.0, 0.0)])).sweep(lidar, 0.0)
    assert sweep.ranges.shape == (8, 90)
    assert (np.diff(sweep.elevations) > 0).all()
    azimuth = (np.arange(90) + 0.5) * 2 * np.pi / 90
    rise, turn = np.meshgrid(sweep.elevations, azimuth, indexing="ij")
    with np.errstate(divide="ignore"):
        to_wall = 11.5 / (np.cos(rise) * np.cos(turn))
        to_ground = np.where(rise < 0, -1.8 / np.sin(rise), np.inf)
    at_wall = to_wall * np.sin(rise) + 1.8, to_wall * np.cos(rise) * np.sin(turn)
    on_wall = (to_wall > 0) & (at_wall[0] > 0) & (at_wall[0] < 6) & (np.abs(at_wall[1]) < 15)
    expected = np.where(on_wall, to_wall, to_ground)
    expected[expected > lidar.max_range] = np.inf
    np.testing.assert_allclose(sweep.ranges, expected, rtol=1e-4)
    assert on_wall.any()
    assert np.isinf(expected).any()


def test_points_carry_their_ring_and_direction() -> None:
    sweep = SceneRenderer(world_of([at(WALL, 12.0, 0.0)])).sweep(LIDAR, 0.0)
    x, y, z, _, ring = sweep.points.astype(np.float64).T
    elevation = np.arctan2(z, np.hypot(x, y))
    np.testing.assert_allclose(elevation, sweep.elevations[ring.astype(int)], atol=1e-5)
    column = np.arctan2(y, x) % (2 * np.pi) * LIDAR.columns / (2 * np.pi) - 0.5
    np.testing.assert_allclose(column, np.round(column), atol=1e-2)
    noise = (
        np.linalg.norm(sweep.points[:, :3], axis=1)
        - (sweep.ranges[ring.astype(int), np.round(column).astype(int) % LIDAR.columns])
    )
    assert 0.008 < noise.std() < 0.02
    assert abs(noise.mean()) < 1e-3


def test_nothing_returns_from_beyond_the_range() -> None:
    short = replace(LIDAR, max_range=9.0)
    sweep = SceneRenderer(world_of([at(WALL, 12.0, 0.0)])).sweep(short, 0.0)
    assert not (sweep.objects == 0).any()
    finite = sweep.ranges[np.isfinite(sweep.ranges)]
    assert 8.0 < finite.max() <= 9.0
    assert len(sweep.points) <= len(finite)


def test_moving_objects_are_where_they_are_at_the_sweeps_time() -> None:
    world = world_of([moving(WALL, (10.0, 0.0), (3.0, 0.0))])
    renderer = SceneRenderer(world)
    for time in (0.0, 1.5):
        sweep = renderer.sweep(LIDAR, time)
        wall = from_center(world, LIDAR, sweep)[sweep.objects == 0]
        assert np.median(wall[:, 0]) == pytest.approx(9.5 + 3 * time, abs=0.01)


def test_far_and_dark_surfaces_return_less_often_and_weaker() -> None:
    shares, intensities = [], []
    for material, x in (("sign", 8.0), ("rubber", 8.0), ("rubber", 40.0)):
        wall = box_model(15, (0.5, 10.0, 4.0), material)
        sweep = SceneRenderer(world_of([at(wall, x, 0.0)])).sweep(LIDAR, 0.0)
        pose = ego_from_sensor(LIDAR)
        seen = sweep.points[sweep.objects == 0]
        turn = (np.arange(LIDAR.columns) + 0.5) * 2 * np.pi / LIDAR.columns
        rays = np.stack([np.cos(turn), np.sin(turn), np.zeros_like(turn)], -1) @ pose[:3, :3].T
        columns = np.abs(np.arctan2(rays[:, 1], rays[:, 0])) < 0.1
        level = np.abs(sweep.elevations) < 0.03
        beams = np.isfinite(sweep.ranges[np.ix_(level, columns)]).sum()
        got = np.isin(seen[:, 4], np.flatnonzero(level))
        got &= columns[
            np.floor(np.arctan2(seen[:, 1], seen[:, 0]) % (2 * np.pi) * LIDAR.columns / (2 * np.pi))
            .astype(int)
            .clip(0, LIDAR.columns - 1)
        ]
        shares.append(got.sum() / beams)
        intensities.append(float(seen[got, 3].mean()))
    assert shares[0] > 0.95
    assert shares[0] > shares[1] > shares[2] > 0.02
    assert intensities[0] > 4 * intensities[1]
    assert min(intensities) >= 0
    assert max(intensities) <= 255


def test_sweeps_are_deterministic_and_differ_in_time() -> None:
    world = world_of([at(WALL, 12.0, 0.0)])
    first, again = SceneRenderer(world).sweep(LIDAR, 1.0), SceneRenderer(world).sweep(LIDAR, 1.0)
    np.testing.assert_array_equal(first.points, again.points)
    np.testing.assert_array_equal(first.objects, again.objects)
    later = SceneRenderer(world).sweep(LIDAR, 1.5)
    np.testing.assert_array_equal(first.ranges, later.ranges)
    assert len(first.points) != len(later.points) or (first.points != later.points).any()
