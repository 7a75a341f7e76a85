"""The pieces scenes are laid out with: curves, roads, drivers, free space, courses."""

from __future__ import annotations

import numpy as np
import pytest

from gfocc_core.synthetic.car_following import BRAKING, Driver, drive, speed_limits
from gfocc_core.synthetic.clearance import Clearance, Course
from gfocc_core.synthetic.curves import Curve, crossings, joined, turn_between
from gfocc_core.synthetic.districts import DISTRICTS
from gfocc_core.synthetic.ground_labels import SURFACE_INDEX, Canvas
from gfocc_core.synthetic.plots import USES
from gfocc_core.synthetic.relief import make_heights, set_down
from gfocc_core.synthetic.room import Room, footprint
from gfocc_core.synthetic.street_plan import LEAD_IN, plan_streets
from gfocc_core.synthetic.streets import Road, Side, find_junctions, open_spans
from gfocc_core.synthetic.world import Ground


def make_road(axis: Curve, **changes) -> Road:
    parts = {"left": Side(2.0, 0.0, 2.0), "right": Side(), "lane_width": 3.0}
    return Road(axis=axis, **{"forward": 1, "backward": 1, **parts, **changes})


def test_a_bend_turns_by_its_length_times_its_curvature():
    curve = Curve.bending((1, 2), 0.3, [(10, 0.0), (15, 1 / 20), (5, 0.0)])
    assert curve.length == pytest.approx(30, rel=1e-3)
    assert curve.yaws[-1] - 0.3 == pytest.approx(15 / 20, abs=0.01)
    assert curve.curvature().max() == pytest.approx(1 / 20, rel=0.05)


def test_a_parallel_curve_keeps_its_distance_and_runs_straight_beyond_its_ends():
    curve = Curve.bending((0, 0), 0.0, [(20, 0.0), (30, -1 / 25)])
    beside = curve.beside(3.0)
    away = np.linalg.norm(beside.points[:, None] - curve.points[None], axis=2).min(1)
    np.testing.assert_allclose(away, 3.0, atol=0.05)
    np.testing.assert_allclose(curve.at(-4.0), (-4, 0), atol=1e-9)


def test_a_turn_has_the_radius_asked_for():
    into = Curve.straight((0, 0), 0.0, 30)
    out = Curve.straight((30, 0), np.pi / 2, 30)
    turn = turn_between(into, out, 8.0)
    assert 1 / turn.curvature().max() == pytest.approx(8.0, rel=0.05)
    np.testing.assert_allclose(turn.points[[0, -1]], [(0, 0), (30, 30)], atol=0.1)
    with pytest.raises(ValueError, match=r"radius 50\.0 m does not fit"):
        turn_between(into, out, 50.0)


def test_joined_curves_are_evenly_spaced():
    curve = joined([Curve.straight((0, 0), 0.0, 7.3), Curve.straight((7.3, 0), 0.5, 4.4)])
    assert curve.length == pytest.approx(11.7, abs=0.02)
    assert np.ptp(np.diff(curve.arc)) < 0.05


def test_crossings_are_found_and_parallels_have_none():
    east = Curve.straight((-20, 0), 0.0, 60)
    north = Curve.straight((3, -10), np.pi / 2, 30)
    assert crossings(east, north) == [pytest.approx((23, 10), abs=0.5)]
    assert crossings(east, Curve.straight((-20, 5), 0.0, 60)) == []


def test_lanes_keep_right_and_lie_within_the_curbs():
    road = make_road(Curve.straight((0, 0), 0.0, 50), forward=2, median=2.0)
    assert road.forward_offsets == [-2.5, -5.5]
    assert road.backward_offsets == [2.5]
    assert road.curbs == (6.0, -7.0)
    assert road.walks == ((6.0, 8.0), (-7.0, -7.0))
    np.testing.assert_allclose(road.lanes[2].points[0], (50, 2.5), atol=1e-6)
    one_way = make_road(road.axis, forward=2, backward=0)
    assert one_way.forward_offsets == [1.5, -1.5]


def test_a_junction_closes_a_stretch_of_both_roads():
    roads = (
        make_road(Curve.straight((0, 0), 0.0, 100)),
        make_road(Curve.straight((40, -50), np.pi / 2, 100)),
    )
    (junction,) = find_junctions(roads, corner=4.0)
    assert junction.arcs == pytest.approx((40, 50), abs=0.5)
    spans = open_spans(0, 100.0, [junction])
    assert [spans[0][0], spans[1][1]] == [0.0, 100.0]
    assert 5 < 40 - spans[0][1] < 15
    assert 5 < spans[1][0] - 40 < 15


@pytest.mark.parametrize("district", DISTRICTS, ids=lambda district: district.name)
def test_a_plan_holds_the_drive_and_its_turns_are_drivable(district):
    assert set(district.plots) == set(USES)
    turned = 0
    for seed in range(12):
        plan = plan_streets(np.random.default_rng(seed), district, 180.0)
        assert plan.route.length >= LEAD_IN + 180.0
        assert np.abs(plan.route.curvature()).max() < 1 / 6.5
        assert plan.legs <= len(plan.roads)
        turned += plan.legs > 1
        for zebra in plan.zebras:
            assert 0 < zebra.arc < plan.roads[zebra.road].axis.length
    assert turned >= 3


def test_followers_never_touch_leaders_and_brake_within_limits():
    lane = Curve.straight((0, 0), 0.0, 400)
    times = np.arange(0, 25, 0.05)
    drivers = [
        Driver(0, 60.0, 9.0, 2.3, 2.3, stop_line=140.0, dwell=3.0),
        Driver(0, 30.0, 12.0, 2.3, 2.3),
        Driver(0, 5.0, 13.0, 2.3, 2.3),
    ]
    track = drive(times, [lane], drivers)
    assert (track[:-1] - track[1:] - 4.6).min() > 0.5
    speed = np.gradient(track, times, axis=1)
    assert np.gradient(speed, times, axis=1).min() > -BRAKING - 0.1
    resting = speed[0] < 0.1
    assert track[0][resting].max() + 2.3 == pytest.approx(140.0, abs=1.0)
    assert 2.0 < resting.sum() * 0.05 < 6.0
    assert speed[0, -1] > 5


def test_drivers_slow_down_for_bends():
    lane = Curve.bending((0, 0), 0.0, [(80, 0.0), (12, 1 / 8), (80, 0.0)])
    times = np.arange(0, 20, 0.05)
    track = drive(times, [lane], [Driver(0, 0.0, 12.0, 2.3, 2.3)])
    speed = np.gradient(track[0], times)
    in_bend = (track[0] > 82) & (track[0] < 90)
    assert in_bend.any()
    assert (speed[in_bend] ** 2 / 8).max() < 2.6
    assert speed_limits(lane)[-1] > 10


def test_a_claimed_place_is_granted_once_and_only_on_allowed_ground():
    surfaces = np.full((400, 400), SURFACE_INDEX["grass"], np.uint8)
    surfaces[:, 200:] = SURFACE_INDEX["asphalt"]
    room = Room.over(Canvas((-25.0, -25.0), 0.125, surfaces))
    grass = frozenset({"grass"})
    box = footprint((-10.0, 0.0), 0.4, 4.0, 2.0)
    assert room.claim(box, grass)
    assert not room.claim(box + 0.5, grass)
    assert not room.claim(footprint((0.0, 0.0), 0.4, 4.0, 2.0), grass)
    assert not room.claim(footprint((-24.5, 0.0), 0.0, 4.0, 2.0), grass)
    assert room.claim(footprint((0.0, 10.0), 0.4, 4.0, 2.0), grass | {"asphalt"})
    np.testing.assert_array_equal(
        room.free_at(np.array([(-10.0, 0.0), (-10.0, 5.0), (900.0, 0.0)])), [False, True, True]
    )


def test_courses_that_meet_are_refused_and_those_that_pass_are_granted():
    room = Room.over(Canvas((-50.0, -50.0), 0.125, np.zeros((800, 800), np.uint8)))
    clearance = Clearance(room)
    along = np.linspace(-30, 30, 121)
    zeros = np.zeros_like(along)

    def course(x, y, yaw):
        return Course(np.stack([x, y], -1), np.full(len(along), yaw), (2.3, 1.0))

    assert clearance.grant([course(along, zeros, 0.0)], 0.3)
    assert clearance.grant([course(-along, zeros + 2.5, np.pi)], 0.3)
    assert not clearance.grant([course(-along, zeros - 2.1, np.pi)], 0.3)
    assert not clearance.grant([course(zeros, along, np.pi / 2)], 0.3)
    assert clearance.grant([course(zeros, along + 20.0, np.pi / 2)], 0.3)
    room.claim(footprint((5.0, -20.0), 0.0, 1.0, 1.0), frozenset({"asphalt"}))
    assert not clearance.grant([course(along, zeros - 20.5, 0.0)], 0.3)


def test_things_set_down_lean_as_the_ground_does():
    heights = np.tile(np.arange(20) * 0.1, (20, 1)).astype(np.float32)
    flat = np.zeros((1, 1, 3), np.uint8)
    ground = Ground((0.0, 0.0), 40.0, flat[..., 0], flat, 2.0, heights)
    pose = set_down(ground, np.array([10.0, 10.0]), 0.0).pose_at(0.0)
    assert pose[2, 3] == pytest.approx(0.5)
    assert pose[2, 0] == pytest.approx(np.sin(np.arctan(0.05)))
    across = set_down(ground, np.array([10.0, 10.0]), np.pi / 2).pose_at(0.0)
    assert across[2, 1] == pytest.approx(-np.sin(np.arctan(0.05)), abs=1e-6)
    upright = set_down(ground, np.array([10.0, 10.0]), 1.0, upright=True).pose_at(0.0)
    np.testing.assert_allclose(upright[2, :3], (0, 0, 1), atol=1e-9)


def test_hills_keep_to_the_slope_asked_for():
    heights = make_heights(np.random.default_rng(3), (-50.0, 20.0), (120, 140), 2.0, 0.04)
    slope = np.hypot(*np.gradient(heights, 2.0))
    assert 0.005 < slope.max() <= 0.0401
