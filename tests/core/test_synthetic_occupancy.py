"""Occupancy truth against brute force: points in solids, and cubes full of points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from gfocc_core.grid import OCC3D_GRID, VoxelGrid
from gfocc_core.synthetic.occupancy import OccupancyTruth, occupancy_of
from gfocc_core.synthetic.overlap import touched_voxels
from gfocc_core.synthetic.parts import BOX, CYLINDER, ELLIPSOID, ObjectModel, Part
from gfocc_core.synthetic.placed_parts import PlacedParts
from gfocc_core.synthetic.world import Trajectory, World, WorldObject
from tests.core.synthetic_worlds import (
    CAR_SPEED,
    LIGHT,
    box_part,
    car_model,
    flat_ground,
    house_model,
    person_model,
    street_world,
)

GRID = VoxelGrid((-4.0, -4.0, -2.0), 0.4, (20, 20, 10))


def make_world(
    objects: list[WorldObject], slope: float = 0.0, ego: Trajectory | None = None
) -> World:
    still = Trajectory.fixed((0, 0, 0), (0, 0, 0))
    return World("w", flat_ground(slope=slope), tuple(objects), ego or still, LIGHT, 0)


def put(model: ObjectModel, x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> WorldObject:
    return WorldObject(model, Trajectory.fixed((x, y, z), (yaw, 0, 0)))


def voxel_of(point: tuple[float, float, float], grid: VoxelGrid) -> tuple[int, ...]:
    index = np.floor((np.array(point) - np.array(grid.lower)) / grid.voxel_size)
    return tuple(index.astype(int).tolist())


def random_part(kind: int, random: np.random.Generator, tilt: float) -> Part:
    angles = random.uniform(-1, 1, 3) * (np.pi, tilt, tilt)
    center, half = random.uniform(-1.5, 1.5, 3), random.uniform(0.05, 1.6, 3)
    return Part(kind, tuple(center), tuple(half), (0, 0, 0), angles=tuple(angles))


def inside(kind: int, local: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Whether points [..., 3], scaled so that the half extents are 1, lie in the solid."""
    if kind == BOX:
        return (np.abs(local) <= 1).all(-1)
    if kind == CYLINDER:
        return (np.square(local[..., :2]).sum(-1) <= 1) & (np.abs(local[..., 2]) <= 1)
    return np.square(local).sum(-1) <= 1


def placed(part: Part) -> PlacedParts:
    return PlacedParts.of([put(ObjectModel(4, (part,)), 0, 0)])


@pytest.mark.parametrize("kind", [BOX, CYLINDER, ELLIPSOID])
@pytest.mark.parametrize("tilt", [0.0, 0.05, 1.0])
def test_every_point_of_a_solid_lies_in_a_touched_voxel(kind: int, tilt: float) -> None:
    random = np.random.default_rng(kind)
    for _ in range(15):
        parts = placed(random_part(kind, random, tilt))
        local = random.uniform(-1, 1, (60_000, 3))
        local = local[inside(kind, local)]
        points = local * parts.half[0] @ parts.rotations[0].T + parts.centers[0]
        index = np.floor((points - np.array(GRID.lower)) / GRID.voxel_size).astype(int)
        index = index[((index >= 0) & (index < GRID.shape)).all(1)]
        touched = np.zeros(GRID.shape, bool)
        touched.reshape(-1)[touched_voxels(parts, GRID).voxels] = True
        assert touched[tuple(index.T)].all()


@pytest.mark.parametrize(
    ("kind", "tilt", "tolerated"),
    [
        *((BOX, 0.0, 0.0), (BOX, 0.05, 0.002), (BOX, 1.0, 0.05)),
        *((CYLINDER, 0.0, 0.0), (CYLINDER, 0.05, 0.01), (CYLINDER, 1.0, 0.04)),
        *((ELLIPSOID, 0.0, 0.01), (ELLIPSOID, 0.05, 0.01), (ELLIPSOID, 1.0, 0.01)),
    ],
)
def test_touched_voxels_hold_a_piece_of_the_solid(kind: int, tilt: float, tolerated: float) -> None:
    random = np.random.default_rng(10 + kind)
    steps = np.linspace(-0.5, 0.5, 13) * GRID.voxel_size
    cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    wrong = total = 0
    for _ in range(12):
        parts = placed(random_part(kind, random, tilt))
        overlaps = touched_voxels(parts, GRID)
        index = np.stack(np.unravel_index(overlaps.voxels, GRID.shape), 1)
        assert len(np.unique(overlaps.voxels)) == len(overlaps.voxels)
        centers = np.array(GRID.lower) + (index + 0.5) * GRID.voxel_size
        points = centers[:, None] + cube - parts.centers[0]
        local = points @ parts.rotations[0] / (parts.half[0] + 0.03)
        wrong += int((~inside(kind, local).any(1)).sum())
        total += len(centers)
    assert total > 500
    assert wrong <= tolerated * total


def test_many_small_and_few_large_parts_are_tested_alike() -> None:
    random = np.random.default_rng(5)
    parts = [
        replace(random_part(kind, random, 0.1), half=tuple(random.uniform(0.1, size, 3)))
        for kind in (BOX, CYLINDER, ELLIPSOID)
        for size in (0.5, 9.0)
        for _ in range(20)
    ]
    together = touched_voxels(PlacedParts.of([put(ObjectModel(4, tuple(parts)), 0, 0)]), OCC3D_GRID)
    alone = [np.sort(touched_voxels(placed(part), OCC3D_GRID).voxels) for part in parts]
    for number, voxels in enumerate(alone):
        np.testing.assert_array_equal(np.sort(together.voxels[together.parts == number]), voxels)


def test_depth_of_overlap_is_how_far_a_box_reaches_into_the_voxel() -> None:
    # The box spans x from 0.1 to 0.5: voxel 10 (0 to 0.4) to 0.3 m, voxel 11 (0.4 to 0.8) to 0.1 m.
    overlaps = touched_voxels(placed(box_part((0.3, 0.2, 0.2), (0.2, 0.19, 0.19))), GRID)
    x = overlaps.voxels // (GRID.shape[1] * GRID.shape[2])
    depth = dict(zip(x.tolist(), overlaps.depths.tolist(), strict=True))
    assert depth == {10: pytest.approx(0.3, abs=1e-5), 11: pytest.approx(0.1, abs=1e-5)}


def test_parts_outside_the_grid_touch_nothing() -> None:
    overlaps = touched_voxels(placed(box_part((30.0, 0.0, 0.0), (1.0, 1.0, 1.0))), GRID)
    assert overlaps.voxels.size == 0


@pytest.mark.parametrize("slope", [0.0, 0.06])
@pytest.mark.parametrize("pitch", [0.0, -0.04])
def test_ground_fills_just_the_voxels_its_surface_passes_through(
    slope: float, pitch: float
) -> None:
    ego = Trajectory.fixed((3.0, -2.0, 0.1), (0.7, pitch, 0.02))
    volume = occupancy_of(make_world([], slope, ego), 0.0, OCC3D_GRID)
    world_from_ego = ego.pose_at(0)
    steps = (np.arange(0, 2000) + 0.5) * 0.04 - 40
    x, y = np.meshgrid(steps, steps, indexing="ij")
    # the plane z_world = slope * x_world, solved for the ego's z
    row = world_from_ego[2] - slope * world_from_ego[0]
    z = -(row[0] * x + row[1] * y + row[3]) / row[2]
    level = np.floor((z + 1.0) / 0.4).astype(int)
    inside_grid = (level >= 0) & (level < 16)
    expected = np.zeros(OCC3D_GRID.shape, bool)
    column = np.floor((steps + 40) / 0.4).astype(int)
    i, j = np.meshgrid(column, column, indexing="ij")
    expected[i[inside_grid], j[inside_grid], level[inside_grid]] = True
    occupied = volume != 17
    assert not (expected & ~occupied).any()
    # Samples stop 2 cm before the columns' borders, where a slope may enter one voxel more.
    assert (occupied & ~expected).sum() <= 0.02 * expected.sum()
    assert set(np.unique(volume)) == {11, 13, 17}


def test_ground_labels_lie_where_they_are_painted() -> None:
    volume = occupancy_of(make_world([]), 0.0, OCC3D_GRID)
    x, y, z = voxel_of((5.2, -4.2, 0.0), OCC3D_GRID)
    assert volume[x, y, z] == 11
    x, y, z = voxel_of((5.2, -8.2, 0.0), OCC3D_GRID)
    assert volume[x, y, z] == 13


def test_what_moves_is_named_before_what_stands_around_it() -> None:
    objects = [put(house_model(), 10.0, 8.2), put(person_model(), 10.0, 5.0)]
    for order in (objects, objects[::-1]):
        volume = occupancy_of(make_world(order), 0.0, OCC3D_GRID)
        assert volume[voxel_of((10.0, 5.0, 1.0), OCC3D_GRID)] == 7
        assert volume[voxel_of((10.0, 5.3, 2.5), OCC3D_GRID)] == 15


def test_an_object_takes_the_ground_it_stands_on_but_not_what_it_grazes() -> None:
    reaching, grazing = box_part((6.2, 0.2, 0.5), (0.19, 0.19, 0.5)), 0.01
    touching = box_part((8.2 + grazing, 0.2, 0.5), (0.2, 0.19, 0.5))
    world = make_world([put(ObjectModel(8, (reaching, touching)), 0, 0)])
    volume = occupancy_of(world, 0.0, OCC3D_GRID)
    ground = voxel_of((0, 0, 0.0), OCC3D_GRID)[2]
    assert volume[voxel_of((6.2, 0.2, 0.0), OCC3D_GRID)] == 8
    assert volume[voxel_of((8.2, 0.2, 0.0), OCC3D_GRID)] == 8
    assert volume[voxel_of((8.5, 0.2, 0.0), OCC3D_GRID)] == 11
    # above the ground there is no other claim: what reaches in counts, however little
    assert (volume[voxel_of((8.5, 0.2, 0.0), OCC3D_GRID)[:2]][ground + 1 : ground + 3] == 8).all()


def test_nothing_is_below_the_ground() -> None:
    deep = ObjectModel(15, (box_part((6.0, 0.0, 0.0), (2.0, 2.0, 3.0)),))
    volume = occupancy_of(make_world([put(deep, 0, 0)]), 0.0, OCC3D_GRID)
    ground = voxel_of((0, 0, 0.0), OCC3D_GRID)[2]
    assert (volume[:, :, :ground] == 17).all()
    assert (volume[voxel_of((6.0, 0.0, 0.0), OCC3D_GRID)[:2]][ground : ground + 7] == 15).all()


def test_moving_objects_are_where_they_are_at_the_time() -> None:
    truth = OccupancyTruth(street_world())
    for time in (0.0, 1.5):
        ahead = 12.0 + time * CAR_SPEED - time * 5.0
        volume = truth.at(time, OCC3D_GRID)
        rows = np.flatnonzero((volume[:, 99:102, 3:5] == 4).any((1, 2)))
        low, high = rows[[0, -1]] * 0.4 - 40 + (0, 0.4)
        assert ahead - 2.3 - 0.4 < low <= ahead - 2.3
        assert ahead + 2.3 <= high < ahead + 2.3 + 0.4


def test_truth_follows_the_tilted_ego() -> None:
    level, tilted = street_world(), street_world(slope=0.05)
    a = occupancy_of(level, 0.0, OCC3D_GRID)
    b = occupancy_of(tilted, 0.0, OCC3D_GRID)
    # Driving up the slope the ground lies level before the ego, as it does in the plane.
    empty = (slice(75, 110), slice(95, 108))
    assert (a[empty] == 11).sum() == 35 * 13
    np.testing.assert_array_equal(a[empty], b[empty])


def test_a_car_fills_its_length_and_no_more() -> None:
    volume = occupancy_of(make_world([put(car_model(), 8.0, 0.0, yaw=0.0)]), 0.0, OCC3D_GRID)
    x, y, _ = np.nonzero(volume == 4)
    assert (x.max() - x.min() + 1) * 0.4 <= 4.6 + 2 * 0.4
    assert (y.max() - y.min() + 1) * 0.4 <= 2 * 0.97 + 2 * 0.4
