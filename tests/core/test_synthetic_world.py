"""Whole scenes of the driving world: what they hold, and that nothing runs into anything."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pytest
from shapely import MultiPoint, STRtree
from shapely.geometry import Polygon

from gfocc_core.synthetic import layout
from gfocc_core.synthetic.layout import WorldConfig, build_world
from gfocc_core.synthetic.palettes import PALETTES
from gfocc_core.synthetic.parts import ELLIPSOID, bounds_of, rotation_from_angles
from gfocc_core.synthetic.street_plan import StreetPlan
from gfocc_core.synthetic.world import World, WorldObject

SEEDS = (0, 1, 2, 3, 4, 5)
DURATION = 10.0
EGO_BODY = (4.1, 1.75, 1.4)  # length, width, centre ahead of the rear axle
LIMITS = {  # category: length, width, height ranges in metres, highest speed in m/s
    "vehicle.car": ((3.7, 5.8), (1.6, 2.3), (1.3, 2.4), 14.5),
    "vehicle.truck": ((5.5, 9.5), (2.2, 2.8), (2.2, 3.7), 14.5),
    "vehicle.bus.rigid": ((9, 13), (2.4, 3.1), (2.9, 4.1), 14.5),
    "vehicle.trailer": ((9, 14), (2.4, 3.1), (2.3, 4.2), 14.5),
    "vehicle.construction": ((5, 8), (2.2, 3.3), (2.4, 4.6), 14.5),
    "vehicle.motorcycle": ((1.7, 2.5), (0.5, 1.0), (1.0, 2.0), 14.5),
    "vehicle.bicycle": ((1.5, 2.0), (0.4, 0.8), (0.9, 2.0), 6.1),
    "human.pedestrian.adult": ((0.4, 1.2), (0.4, 1.1), (1.4, 2.1), 1.9),
    "human.pedestrian.child": ((0.3, 1.0), (0.3, 0.9), (0.9, 1.6), 1.9),
    "human.pedestrian.construction_worker": ((0.3, 1.2), (0.4, 1.1), (1.4, 2.1), 0.0),
    "movable_object.trafficcone": ((0.3, 0.5), (0.3, 0.5), (0.6, 1.2), 0.0),
    "movable_object.barrier": ((0.3, 0.8), (1.9, 3.0), (0.7, 1.2), 0.0),
}


@dataclass(frozen=True)
class Scene:
    world: World
    plan: StreetPlan


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    """A few scenes of both palettes, with the street plans they were built from."""
    plans: list[StreetPlan] = []
    original = layout.plan_streets

    def spy(*args, **kwargs):
        plans.append(original(*args, **kwargs))
        return plans[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "plan_streets", spy)
        worlds = [
            build_world(f"scene-{seed}", seed, DURATION, palette=("train", "val")[seed % 2])
            for seed in SEEDS
        ]
    return [Scene(world, plan) for world, plan in zip(worlds, plans, strict=True)]


def rectangle(pose: np.ndarray, length: float, width: float, ahead: float = 0.0) -> Polygon:
    half = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) * (length / 2, width / 2)
    return Polygon((half + np.array([ahead, 0])) @ pose[:2, :2].T + pose[:2, 3])


def low_parts(thing: WorldObject, below: float) -> list[Polygon]:
    """Footprints of a standing thing's parts that begin lower than a height."""
    pose = thing.path.pose_at(0.0)
    found = []
    for part in thing.model.parts:
        low, high = bounds_of([part])
        if low[2] >= below:
            continue
        if part.kind == ELLIPSOID:
            angle = np.linspace(0, 2 * np.pi, 13)[:-1]
            half = (high - low)[:2] / 2
            ring = np.stack([np.cos(angle), np.sin(angle)], -1) * half + part.center[:2]
        else:
            signs = np.array(np.meshgrid(*[(-1, 1)] * 3)).reshape(3, -1).T
            turned = rotation_from_angles(np.array(part.angles))
            ring = ((signs * part.half) @ turned.T + part.center)[:, :2]
        found.append(MultiPoint(ring @ pose[:2, :2].T + pose[:2, 3]).convex_hull)
    return found


def is_vehicle(thing: WorldObject) -> bool:
    return thing.model.category.startswith("vehicle")


def test_the_same_seed_builds_the_same_world_and_another_seed_another():
    first, again = (build_world("a", 11, 4.0) for _ in range(2))
    other = build_world("a", 12, 4.0)
    np.testing.assert_array_equal(first.ground.colors, again.ground.colors)
    np.testing.assert_array_equal(first.ground.heights, again.ground.heights)
    np.testing.assert_array_equal(first.ego.positions, again.ego.positions)
    assert first.lighting == again.lighting
    assert [thing.model for thing in first.objects] == [thing.model for thing in again.objects]
    for a, b in zip(first.objects, again.objects, strict=True):
        np.testing.assert_array_equal(a.path.positions, b.path.positions)
    assert first.ego.positions.shape == other.ego.positions.shape
    assert not np.allclose(first.ego.positions, other.ego.positions)


def test_the_validation_palette_builds_another_place_in_other_colours():
    train, val = (build_world("a", 11, 4.0, palette=name) for name in ("train", "val"))
    assert not np.allclose(train.ego.positions, val.ego.positions)
    for kind in ("facades", "cars", "leaves", "grass", "plazas", "freight"):
        assert not set(getattr(PALETTES["train"], kind)) & set(getattr(PALETTES["val"], kind))


def test_a_few_scenes_hold_every_class(scenes):
    labels = {thing.model.label for scene in scenes for thing in scene.world.objects}
    assert labels == {*range(11), 15, 16}
    ground = {int(label) for scene in scenes for label in np.unique(scene.world.ground.labels)}
    assert ground == {11, 12, 13, 14}


def test_what_moves_covers_every_dynamic_class(scenes):
    moving = {t.model.label for s in scenes for t in s.world.objects if t.path.moves}
    assert moving >= {2, 3, 4, 6, 7, 9, 10}


def test_the_ego_meets_vehicles_and_people_in_every_scene(scenes):
    for scene in scenes:
        near = {"vehicle": 0, "human": 0}
        for time in (0.0, 5.0, 10.0):
            ego = scene.world.ego.pose_at(time)[:2, 3]
            for thing in scene.world.objects:
                kind = thing.model.category.split(".")[0]
                away = np.abs(thing.path.pose_at(time)[:2, 3] - ego).max()
                if kind in near and away < 40:
                    near[kind] += 1
        assert near["vehicle"] >= 9, near
        assert near["human"] >= 2, near


def test_no_two_vehicles_ever_overlap(scenes):
    for scene in scenes:
        vehicles = [thing for thing in scene.world.objects if is_vehicle(thing)]
        for time in np.arange(-1.0, DURATION + 1.01, 0.25):
            boxes = [
                rectangle(thing.path.pose_at(time), *thing.model.size[:2]) for thing in vehicles
            ]
            first, second = STRtree(boxes).query(boxes, predicate="overlaps")
            overlaps = [
                (vehicles[a].model.category, vehicles[b].model.category)
                for a, b in zip(first, second, strict=True)
                if boxes[a].intersection(boxes[b]).area > 0.02
            ]
            assert not overlaps, (scene.world.name, time, overlaps)


def test_the_ego_touches_nothing(scenes):
    for scene in scenes:
        standing = [
            part
            for thing in scene.world.objects
            if not thing.path.moves
            for part in low_parts(thing, 2.2)
        ]
        tree = STRtree(standing)
        moving = [thing for thing in scene.world.objects if thing.path.moves]
        for time in np.arange(-1.0, DURATION + 1.01, 0.2):
            body = rectangle(scene.world.ego.pose_at(time), *EGO_BODY)
            assert len(tree.query(body, predicate="intersects")) == 0, (scene.world.name, time)
            for thing in moving:
                away = thing.path.pose_at(time)[:2, 3] - scene.world.ego.pose_at(time)[:2, 3]
                if np.abs(away).max() > 25:
                    continue
                other = rectangle(thing.path.pose_at(time), *thing.model.size[:2])
                assert not body.intersects(other), (scene.world.name, time, thing.model.category)


def test_people_walk_around_things_and_vehicles(scenes):
    for scene in scenes:
        walkers = [t for t in scene.world.objects if t.model.label == 7 and t.path.moves]
        vehicles = [thing for thing in scene.world.objects if is_vehicle(thing)]
        solid = STRtree(
            [
                part
                for thing in scene.world.objects
                if not thing.path.moves and thing.model.label == 15
                for part in low_parts(thing, 1.8)
            ]
        )
        for time in np.arange(0.0, DURATION, 0.5):
            boxes = STRtree([rectangle(t.path.pose_at(time), *t.model.size[:2]) for t in vehicles])
            for walker in walkers:
                body = rectangle(walker.path.pose_at(time), 0.3, 0.3)
                assert len(boxes.query(body, predicate="intersects")) == 0
                assert len(solid.query(body, predicate="intersects")) == 0


def test_sizes_and_speeds_are_those_of_the_class(scenes):
    for scene in scenes:
        for thing in scene.world.objects:
            if thing.model.category not in LIMITS:
                continue
            *ranges, fastest = LIMITS[thing.model.category]
            for edge, (low, high) in zip(thing.model.size, ranges, strict=True):
                assert low <= edge <= high, (thing.model.category, thing.model.size)
            speeds = [
                np.linalg.norm(thing.path.velocity_at(time)) for time in np.arange(0, DURATION, 0.5)
            ]
            assert max(speeds) <= fastest + 0.05, (thing.model.category, max(speeds))


def test_every_annotated_thing_has_the_category_of_its_label(scenes):
    prefixes = {1: "movable_object.barrier", 7: "human.pedestrian", 8: "movable_object.trafficcone"}
    for thing in (thing for scene in scenes for thing in scene.world.objects):
        label, category = thing.model.label, thing.model.category
        if label in (15, 16):
            assert category == ""
        else:
            assert category.startswith(prefixes.get(label, "vehicle" if label else category))
            assert category


def test_the_ego_drives_smoothly(scenes):
    for scene in scenes:
        ego = scene.world.ego
        assert ego.times[0] == -1.0
        assert ego.times[-1] == pytest.approx(DURATION + 1)
        step = np.diff(ego.times)
        np.testing.assert_allclose(step, 0.05, atol=1e-9)
        velocity = np.diff(ego.positions[:, :2], axis=0) / 0.05
        speed = np.linalg.norm(velocity, axis=1)
        assert speed.max() < 14
        assert np.abs(np.diff(speed) / 0.05).max() < 2.6
        turning = np.abs(np.diff(ego.angles[:, 0]) / 0.05) * speed
        assert turning.max() < 3.0
        heading = np.stack([np.cos(ego.angles[:-1, 0]), np.sin(ego.angles[:-1, 0])], -1)
        along = (velocity * heading).sum(1)[speed > 1] / speed[speed > 1]
        assert along.min() > 0.99


def test_the_ego_stays_on_the_road(scenes):
    offsets = np.array([(x, y) for x in (-0.65, 1.4, 3.45) for y in (-0.875, 0, 0.875)])
    for scene in scenes:
        for time in np.arange(-1.0, DURATION + 1.01, 0.1):
            pose = scene.world.ego.pose_at(time)
            xy = offsets @ pose[:2, :2].T + pose[:2, 3]
            assert (scene.world.ground.label_at(xy) == 11).all(), (scene.world.name, time)


def test_everything_that_moves_follows_the_ground(scenes):
    for scene in scenes:
        paths = [t.path for t in scene.world.objects if t.path.moves] + [scene.world.ego]
        for path in paths:
            ground = scene.world.ground.height_at(path.positions[:, :2])
            np.testing.assert_allclose(path.positions[:, 2], ground, atol=1e-6)


def test_only_vehicles_and_work_zones_stand_on_lanes(scenes):
    for scene in scenes:
        world, plan = scene.world, scene.plan
        standing = [
            thing
            for thing in world.objects
            if not thing.path.moves and thing.model.label in (15, 16)
        ]
        owners = [index for index, thing in enumerate(standing) for _ in low_parts(thing, 3.0)]
        tree = STRtree([part for thing in standing for part in low_parts(thing, 3.0)])
        for road in plan.roads:
            for lane in road.lanes:
                arcs = np.linspace(2, lane.length - 2, 60)
                half = road.lane_width / 2 - 0.3
                edges = np.vstack([lane.at(arcs, half), lane.at(arcs[::-1], -half)])
                hits = tree.query(Polygon(edges).buffer(0), predicate="intersects")
                assert len(hits) == 0, (world.name, standing[owners[hits[0]]])


def test_the_ground_is_textured_and_as_steep_as_allowed(scenes):
    for scene in scenes:
        ground = scene.world.ground
        for label in (11, 13, 14):
            spread = ground.colors[ground.labels == label].astype(float).std(0)
            assert spread.min() > 2
        slope = np.hypot(*np.gradient(ground.heights, ground.height_resolution))
        assert slope.max() <= WorldConfig().max_slope + 1e-3


def test_the_land_around_the_ego_is_framed(scenes):
    shares = []
    for scene in scenes:
        tall = [t for t in scene.world.objects if t.model.label in (15, 16) and t.model.size[2] > 3]
        places = np.array([t.path.positions[0, :2] for t in tall])
        for time in (0.0, 5.0, 10.0):
            away = places - scene.world.ego.pose_at(time)[:2, 3]
            near = away[np.linalg.norm(away, axis=1) < 60]
            sectors = np.floor(np.arctan2(near[:, 1], near[:, 0]) / (np.pi / 6))
            shares.append(len(np.unique(sectors)) / 12)
    assert np.mean(shares) > 0.85


def test_scenes_differ_in_light(scenes):
    suns = [scene.world.lighting for scene in scenes]
    for light in suns:
        assert np.linalg.norm(light.to_sun) == pytest.approx(1)
        assert light.to_sun[2] > 0
    assert all(a != b for a, b in combinations(suns, 2))


def test_a_stop_asked_for_happens_and_the_ego_drives_on():
    config = WorldConfig(stops=1.0, traffic=0.0)
    rests = []
    for seed in range(4):
        ego = build_world("a", seed, 14.0, config).ego
        still = np.linalg.norm(np.diff(ego.positions, axis=0), axis=1) / 0.05 < 0.1
        rests.append(still.sum() * 0.05)
        if still.any():
            assert np.linalg.norm(ego.velocity_at(ego.times[0] + 0.2)) > 1
    assert sum(1.0 <= rest < 12 for rest in rests) >= 2, rests


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_slope": 0.5}, "max_slope"),
        ({"border": 10.0}, "border"),
        ({"parking": 1.5}, "parking .* 1.5"),
        ({"traffic": -1.0}, "traffic"),
    ],
)
def test_impossible_configurations_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        WorldConfig(**change)


def test_unknown_palette_and_duration_are_refused():
    with pytest.raises(ValueError, match=r"palette .* 'test'"):
        build_world("a", 0, 5.0, palette="test")
    with pytest.raises(ValueError, match=r"duration_s .* 0"):
        build_world("a", 0, 0.0)


def test_emptier_worlds_come_from_lower_densities():
    empty = WorldConfig(traffic=0.0, parking=0.0, pedestrians=0.0, rarities=0.0, stops=0.0)
    quiet, usual = (build_world("a", 3, 5.0, config) for config in (empty, WorldConfig()))
    moving = [sum(t.path.moves for t in world.objects) for world in (quiet, usual)]
    assert moving[0] < moving[1] / 2
