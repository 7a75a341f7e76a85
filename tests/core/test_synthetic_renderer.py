"""Pictures show what stands in the world, where it stands, at the time they are taken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gfocc_core.synthetic.parts import ELLIPSOID, ObjectModel, Part
from gfocc_core.synthetic.renderer import SceneRenderer
from gfocc_core.synthetic.rig import RIGS, CameraSpec, ego_from_sensor, intrinsics_of
from gfocc_core.synthetic.shots import NO_OBJECT, SKY
from gfocc_core.synthetic.world import Trajectory, World
from tests.core.sensor_worlds import CENTER, LIGHT, at, box_model, moving, plane, project, world_of

FRONT = RIGS["four_cameras"].cameras[0].at_size(120, 200)
WALL = box_model(15, (0.5, 15.0, 3.0), "brick")
POST = box_model(8, (0.2, 0.2, 0.5))
CAR = box_model(4, (2.0, 0.9, 0.8), "metal")


@pytest.mark.parametrize("size", [(720, 1280), (120, 200), (110, 160)])
def test_a_wall_is_as_far_as_it_stands(size: tuple[int, int]) -> None:
    camera = RIGS["four_cameras"].cameras[0].at_size(*size)
    shot = SceneRenderer(world_of([at(WALL, 14.0, 0.0)])).shoot(camera, 0.0)
    wall = shot.objects == 0
    assert wall.mean() > 0.3
    np.testing.assert_allclose(shot.depth[wall], 14.0 - 0.5 - 1.9, atol=2e-3)
    assert (shot.labels[wall] == 15).all()
    assert (shot.labels[~wall] != 15).all()


@pytest.mark.parametrize("size", [(900, 1600), (256, 704), (128, 352), (200, 200)])
@pytest.mark.parametrize("rig", sorted(RIGS))
def test_known_points_show_in_the_pixels_they_project_to(rig: str, size: tuple[int, int]) -> None:
    """Balls all around, seen by every camera of a tilted, turned ego."""
    ball = ObjectModel(8, (Part(ELLIPSOID, (0, 0, 0), (0.25, 0.25, 0.25), (200, 30, 30)),))
    turns = np.arange(48) * (2 * np.pi / 48)
    balls = [
        at(ball, 9 * np.cos(a), 9 * np.sin(a), 0.6 + 0.3 * (i % 4)) for i, a in enumerate(turns)
    ]
    ego = Trajectory.fixed((*CENTER, 0.0), (0.4, 0.03, -0.02))
    world = world_of(balls, ego=ego)
    renderer = SceneRenderer(world)
    found = 0
    for camera in RIGS[rig].at_size(*size).cameras:
        shot = renderer.shoot(camera, 0.0)
        for index, item in enumerate(balls):
            pixel, depth = project(world, camera, 0.0, item.path.positions[0])
            column, row = np.floor(pixel).astype(int)
            if depth > 0 and 0 <= column < camera.width and 0 <= row < camera.height:
                assert shot.objects[row, column] == index
                assert shot.labels[row, column] == 8
                assert depth - 0.26 < shot.depth[row, column] < depth - 0.15
                found += 1
    assert found >= 20


@pytest.mark.parametrize("slope", [0.0, 0.05])
def test_ground_depth_is_the_planes_to_five_millimetres(slope: float) -> None:
    camera = FRONT
    ego = Trajectory.fixed((*CENTER, 0.0), (0.7, -0.02, 0.01))
    world = world_of(ground=plane(slope), ego=ego)
    shot = SceneRenderer(world).shoot(camera, 0.0)
    pose = ego.pose_at(0.0) @ ego_from_sensor(camera)
    rows, columns = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
    rays = (
        np.stack([columns, rows, np.ones_like(rows)], -1) @ np.linalg.inv(intrinsics_of(camera)).T
    )
    rays = rays @ pose[:3, :3].T
    normal = np.array([-slope, 0.0, 1.0])
    offset = pose[:3, 3] - [*CENTER, 0.0]
    expected = -(offset @ normal) / (rays @ normal)
    hit = np.linalg.norm(rays[..., :2] * expected[..., None], axis=-1) < 35
    hit &= expected > 0
    assert hit.mean() > 0.2
    np.testing.assert_allclose(shot.depth[hit], expected[hit], atol=5e-3)
    assert (shot.labels[hit] == 11).all()
    assert (shot.objects[hit] == NO_OBJECT).all()


def test_ground_labels_are_those_painted_there() -> None:
    ground = plane(label=14)
    ground.labels[:, 220:240] = 13  # 5 to 10 m ahead
    shot = SceneRenderer(world_of(ground=ground)).shoot(FRONT, 0.0)
    ahead = np.where(shot.labels == 13, shot.depth + FRONT.translation[0], 7.0)
    assert 4.9 < ahead.min() < 5.6
    assert 9.0 < ahead.max() < 10.1
    assert set(np.unique(shot.labels)) == {13, 14, SKY}


def test_above_the_horizon_is_sky_and_below_it_there_is_no_hole() -> None:
    shot = SceneRenderer(world_of()).shoot(FRONT, 0.0)
    horizon = FRONT.cy
    rows = np.arange(FRONT.height) + 0.5
    sky = shot.labels == SKY
    assert sky[rows < horizon].all()
    assert not sky[rows > horizon + 2].any()
    assert (shot.depth[sky] == 0).all()
    assert (shot.objects[sky] == NO_OBJECT).all()


def test_moving_objects_are_where_they_are_at_each_stamp() -> None:
    """The ego drives too: every camera sees the car at its own time."""
    times = np.array([-1.0, 5.0])
    ego = Trajectory(
        times, np.array([[CENTER[0] + 4 * t, CENTER[1], 0.0] for t in times]), np.zeros((2, 3))
    )
    car = moving(CAR, (12.0, -1.0), (6.0, 1.5))
    world = world_of([car], ego=ego)
    renderer = SceneRenderer(world)
    for time in (0.0, 0.0371, 0.5, 2.9):
        shot = renderer.shoot(FRONT, time)
        back = car.path.pose_at(time) @ [-2.0, 0.0, 0.8, 1.0]
        pixel, depth = project(world, FRONT, time, back[:3])
        column, row = np.floor(pixel).astype(int)
        assert shot.objects[row, column] == 0
        assert shot.labels[row, column] == 4
        assert shot.depth[row, column] == pytest.approx(depth, abs=2e-3)


def test_nearer_of_moving_and_standing_things_is_seen() -> None:
    wall = at(WALL, 20.0, 0.0)
    before = moving(CAR, (10.0, 0.0), (0.0, 1.0))
    behind = moving(CAR, (28.0, 0.0), (0.0, 1.0))
    shot = SceneRenderer(world_of([before, wall, behind])).shoot(FRONT, 0.0)
    assert set(np.unique(shot.objects)) == {NO_OBJECT, 0, 1}


@pytest.mark.parametrize("yaw", [0.0, 0.9])
def test_a_moving_object_looks_like_one_that_stands_there(yaw: float) -> None:
    stands = at(CAR, 12.0, -1.0, yaw=yaw)
    moves = moving(CAR, (12.0, -1.0), (5.0, 2.0), yaw)
    wall = at(WALL, 25.0, 0.0)
    one, other = (
        SceneRenderer(world_of([item, wall])).shoot(FRONT, 0.0) for item in (stands, moves)
    )
    assert (one.objects == other.objects).all()
    np.testing.assert_allclose(one.depth, other.depth, atol=1e-3)
    difference = np.abs(one.image.astype(int) - other.image)
    assert (difference > 2).mean() < 0.002


def test_the_same_call_gives_the_same_shot_in_any_order() -> None:
    world = world_of([at(WALL, 20.0, 0.0), moving(CAR, (10.0, 0.0), (1.0, 0.0))])
    cameras = RIGS["nuscenes"].at_size(32, 88).cameras
    forward, backward = SceneRenderer(world), SceneRenderer(world)
    first = [forward.shoot(camera, 0.3) for camera in cameras]
    second = [backward.shoot(camera, 0.3) for camera in reversed(cameras)][::-1]
    for a, b in zip(first, second, strict=True):
        for field in ("image", "labels", "depth", "objects"):
            np.testing.assert_array_equal(getattr(a, field), getattr(b, field))


def test_noise_belongs_to_camera_scene_and_time() -> None:
    world = world_of([at(WALL, 20.0, 0.0)])
    shot = SceneRenderer(world).shoot(FRONT, 0.0)
    others = [
        SceneRenderer(world).shoot(replace(FRONT, name="twin"), 0.0),
        SceneRenderer(world).shoot(FRONT, 1.0),
        SceneRenderer(replace(world, seed=12)).shoot(FRONT, 0.0),
    ]
    for other in others:
        np.testing.assert_array_equal(shot.depth, other.depth)
        assert (shot.image != other.image).mean() > 0.3


def brightness(world: World, camera: CameraSpec, point: tuple[float, float, float]) -> float:
    shot = SceneRenderer(world).shoot(camera, 0.0)
    pixel, _ = project(world, camera, 0.0, np.array([*(CENTER + point[:2]), point[2]]))
    column, row = np.floor(pixel).astype(int)
    return float(shot.image[row - 2 : row + 3, column - 2 : column + 3].mean())


def test_shadow_is_darker_than_sun() -> None:
    """The sun stands ahead at elevation 53 degrees: shadows fall towards the camera."""
    lit = world_of()
    for caster in (at(WALL, 14.0, 0.0), moving(WALL, (14.0, 0.0), (0.0, 0.5))):
        shaded = world_of([caster])
        in_shadow = (11.5, 0.0, 0.0)
        assert brightness(shaded, FRONT, in_shadow) < 0.75 * brightness(lit, FRONT, in_shadow)
        beyond = (6.0, 0.0, 0.0)
        assert brightness(shaded, FRONT, beyond) > 0.85 * brightness(lit, FRONT, beyond)


def test_without_sun_there_is_no_cast_shadow_but_light_under_things_is_dim() -> None:
    overcast = replace(LIGHT, sun=(0.0, 0.0, 0.0), ambient=(0.8, 0.8, 0.8))
    roof = ObjectModel(15, (Part(0, (0, 0, 2.2), (1.0, 3.0, 0.1), (200, 200, 200)),))
    world = world_of([at(roof, 8.0, 0.0)], light=overcast)
    under = brightness(world, FRONT, (8.0, 0.0, 0.0))
    beside = brightness(world, FRONT, (10.5, 0.0, 0.0))
    assert under < 0.8 * beside


def test_colours_of_things_are_in_the_picture() -> None:
    reds = [
        ObjectModel(4, (Part(0, (0, 0, 1), (0.5, 1.5, 1.0), color),))
        for color in ((200, 20, 20), (20, 20, 200))
    ]
    world = world_of([at(reds[0], 8.0, 2.0), at(reds[1], 8.0, -2.0)])
    shot = SceneRenderer(world).shoot(FRONT, 0.0)
    red, blue = (shot.image[shot.objects == index].mean(0) for index in (0, 1))
    assert red[0] > 2 * red[2]
    assert blue[2] > 2 * blue[0]


def test_pictures_are_well_exposed_by_day_and_darker_at_dusk() -> None:
    day = world_of([at(WALL, 20.0, 0.0)])
    dim = replace(
        LIGHT,
        sun=(0.35, 0.3, 0.25),
        ambient=(0.15, 0.15, 0.15),
        sky_horizon=(0.4, 0.35, 0.3),
        sky_zenith=(0.2, 0.25, 0.35),
    )
    means = [
        SceneRenderer(replace(day, lighting=light)).shoot(FRONT, 0.0).image.mean()
        for light in (LIGHT, dim)
    ]
    assert 90 < means[0] < 190
    assert 30 < means[1] < means[0] - 15


def test_far_things_fade_into_the_haze() -> None:
    dark = ObjectModel(15, (Part(0, (0, 0, 4), (0.5, 30.0, 4.0), (10, 10, 10)),))
    contrasts = []
    for haze in (5000.0, 25.0):
        light = replace(LIGHT, haze_distance=haze)
        shot = SceneRenderer(world_of([at(dark, 40.0, 0.0)], light=light)).shoot(FRONT, 0.0)
        sky = shot.image[shot.labels == SKY].mean()
        contrasts.append(sky - shot.image[shot.objects == 0].mean())
    assert contrasts[0] > 50
    assert abs(contrasts[1]) < 12
