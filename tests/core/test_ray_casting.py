"""Rays through voxels: known distances, the order of steps at ties, and a slow walk as the judge."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gfocc_core.grid import OCC3D_GRID, VoxelGrid
from gfocc_core.metrics.ray_casting import RayHits, cast_rays
from gfocc_core.metrics.ray_set import ray_directions, rays_from
from gfocc_core.taxonomy import FREE_ID

Labels = npt.NDArray[np.uint8]
Vectors = npt.NDArray[np.float64]

CAR, TREE = 4, 16
SMALL = VoxelGrid(lower=(-4.0, -2.0, 1.0), voxel_size=0.5, shape=(37, 21, 5))
"""Longer than one window of the search, and made of numbers that floats hold exactly."""


def free(grid: VoxelGrid = OCC3D_GRID) -> torch.Tensor:
    return torch.full(grid.shape, FREE_ID, dtype=torch.uint8)


def cast_one(
    labels: torch.Tensor, origin: tuple[float, ...], direction: tuple[float, ...], grid: VoxelGrid
) -> tuple[int, float]:
    unit = torch.tensor(direction, dtype=torch.float64)
    start = torch.tensor(origin, dtype=torch.float64)
    hits = cast_rays(labels[None], start[None], unit[None] / unit.norm(), grid)
    return int(hits.labels), float(hits.distances)


@pytest.mark.parametrize(
    ("direction", "wall", "distance"),
    [
        ((1, 0, 0), (150, 100, 7), 20.4 - 0.1),
        ((-1, 0, 0), (50, 100, 7), 20 + 0.1),
        ((0, 1, 0), (100, 150, 7), 20.4 - 0.2),
        ((0, -1, 0), (100, 50, 7), 20 + 0.2),
        ((0, 0, 1), (100, 100, 12), 4.2 - 1.84),
        ((0, 0, -1), (100, 100, 2), 1.84 + 0.2),
    ],
)
def test_a_ray_along_an_axis_ends_where_it_leaves_the_wall(
    direction: tuple[float, ...], wall: tuple[int, ...], distance: float
) -> None:
    labels = free()
    labels[wall] = CAR
    label, measured = cast_one(labels, (0.1, 0.2, 1.84), direction, OCC3D_GRID)
    assert label == CAR
    assert measured == pytest.approx(distance, abs=1e-9)


@pytest.mark.parametrize("degrees", [0, 20, 45, 70, -33])
def test_a_slanted_ray_meets_a_wall_at_the_known_distance(degrees: float) -> None:
    labels = free()
    labels[150] = TREE
    direction = (math.cos(math.radians(degrees)), math.sin(math.radians(degrees)), 0)
    label, distance = cast_one(labels, (0.1, 0.2, 1.84), direction, OCC3D_GRID)
    # The first wall voxel may be left sideways, before the wall's far side.
    near, far = 19.9 / direction[0], 20.3 / direction[0]
    if degrees <= 45:
        assert label == TREE
        assert near < distance <= far + 1e-9
    else:
        assert label == FREE_ID
        assert distance == pytest.approx(39.8 / direction[1])


def test_a_voxel_that_holds_the_origin_is_hit_and_left_at_its_border() -> None:
    labels = free()
    labels[100, 100, 7] = CAR
    labels[101, 100, 7] = TREE
    label, distance = cast_one(labels, (0.1, 0.1, 1.84), (1, 0, 0), OCC3D_GRID)
    assert label == CAR
    assert distance == pytest.approx(0.3)


def test_a_ray_that_hits_nothing_ends_at_the_border_of_the_grid() -> None:
    label, distance = cast_one(free(), (0.1, 0.2, 1.84), (-1, 0, 0), OCC3D_GRID)
    assert label == FREE_ID
    assert distance == pytest.approx(40.1)


def test_a_ray_from_above_the_grid_enters_it() -> None:
    labels = free()
    labels[..., :2] = TREE
    label, distance = cast_one(labels, (0.1, 0.1, 7.0), (0, 0, -1), OCC3D_GRID)
    assert label == TREE
    assert distance == pytest.approx(7.0 + 0.6)


@pytest.mark.parametrize(
    ("origin", "direction"),
    [((0, 0, 7), (0, 0, 1)), ((0, 0, 7), (1, 0, 0)), ((-60, 0, 2), (1, 5, 0))],
)
def test_a_ray_that_never_meets_the_grid_has_no_distance(
    origin: tuple[float, ...], direction: tuple[float, ...]
) -> None:
    label, distance = cast_one(torch.zeros_like(free()), origin, direction, OCC3D_GRID)
    assert label == FREE_ID
    assert math.isnan(distance)


@pytest.mark.parametrize(
    ("direction", "visited", "passed_by"),
    [
        ((1, 1, 0), (10, 11, 2), (11, 10, 2)),
        ((1, 0, 1), (10, 10, 3), (11, 10, 2)),
        ((0, 1, 1), (10, 10, 3), (10, 11, 2)),
        ((1, 1, 1), (10, 11, 3), (11, 10, 3)),
        ((-1, -1, -1), (10, 9, 1), (9, 9, 2)),
    ],
)
def test_through_an_edge_or_corner_z_steps_before_y_and_y_before_x(
    direction: tuple[float, ...], visited: tuple[int, ...], passed_by: tuple[int, ...]
) -> None:
    centre = tuple(
        low + (index + 0.5) * SMALL.voxel_size
        for low, index in zip(SMALL.lower, (10, 10, 2), strict=True)
    )
    labels = free(SMALL)
    labels[passed_by] = TREE
    assert cast_one(labels, centre, direction, SMALL)[0] == FREE_ID
    labels[visited] = CAR
    label, distance = cast_one(labels, centre, direction, SMALL)
    assert label == CAR
    # What lies between two boundaries that coincide is left where it is entered.
    assert distance == pytest.approx(math.hypot(*direction) * SMALL.voxel_size / 2)


def test_grids_share_rays_but_not_hits() -> None:
    labels = torch.stack([free(), free(), free()])
    labels[0, 150], labels[1, 120] = CAR, TREE
    rays = rays_from(torch.tensor([[0.1, 0.2, 1.84]]), ray_directions())
    together = cast_rays(labels, *rays)
    for index in range(3):
        alone = cast_rays(labels[index : index + 1], *rays)
        assert torch.equal(alone.labels[0], together.labels[index])
        assert torch.equal(alone.distances[0], together.distances[index])


def test_a_grid_of_millions_of_voxels_is_indexed_exactly() -> None:
    grid = VoxelGrid(lower=(0.0, 0.0, 0.0), voxel_size=1.0, shape=(300, 300, 200))
    labels = free(grid)
    labels[299, 299, 198:] = torch.tensor([CAR, TREE], dtype=torch.uint8)
    origins = torch.tensor([[0.5, 299.5, 199.5], [0.5, 299.5, 198.5]])
    hits = cast_rays(labels[None], origins, torch.tensor([[1.0, 0, 0]]).repeat(2, 1), grid)
    assert hits.labels.tolist() == [[TREE, CAR]]
    assert hits.distances.tolist() == [[299.5, 299.5]]


def test_no_rays_give_no_hits() -> None:
    hits = cast_rays(free()[None], torch.zeros(0, 3), torch.zeros(0, 3))
    assert hits.labels.shape == hits.distances.shape == (1, 0)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((200, 200, 16), (2, 3), (2, 3)), r"labels must be \[G, 200, 200, 16\], got \[200"),
        (((1, 200, 200, 15), (2, 3), (2, 3)), r"labels must be \[G"),
        (((1, 200, 200, 16), (2, 3), (3, 3)), r"origins and directions .*\[2, 3\] and \[3, 3\]"),
        (((1, 200, 200, 16), (2, 2), (2, 2)), "origins and directions must both be"),
    ],
)
def test_shapes_that_do_not_fit_are_named(
    shapes: tuple[tuple[int, ...], ...], message: str
) -> None:
    labels, origins, directions = (torch.ones(shape) for shape in shapes)
    with pytest.raises(ValueError, match=message):
        cast_rays(labels.long(), origins, directions)


def slow_walk(
    labels: Labels, origin: Vectors, direction: Vectors, grid: VoxelGrid
) -> tuple[int, float]:
    """The walk as the algorithm's page words it: one ray, one step at a time."""
    position = (origin - np.array(grid.lower)) / grid.voxel_size
    cell = np.floor(position)
    first = np.where(direction > 0, cell + 1 - position, position - cell)
    step, made = np.sign(direction), np.zeros(3)
    exit_distance = math.nan
    for _ in range(sum(grid.shape) + 60):
        boundary = [
            (first[a] + made[a]) * (1 / abs(direction[a])) if step[a] else math.inf
            for a in range(3)
        ]
        inside = all(0 <= cell[a] < grid.shape[a] for a in range(3))
        if inside:
            exit_distance = min(boundary)
            label = int(labels[tuple(cell.astype(int))])
            if label != FREE_ID:
                return label, exit_distance * grid.voxel_size
        elif not math.isnan(exit_distance):
            break
        x, y, z = boundary
        axis = 0 if x < y and x < z else 1 if y <= x and y < z else 2
        cell[axis] += step[axis]
        made[axis] += 1
    return FREE_ID, exit_distance * grid.voxel_size


def assert_equals_slow_walk(
    labels: Labels, origins: Vectors, directions: Vectors, hits: RayHits
) -> None:
    for ray in range(len(origins)):
        label, distance = slow_walk(labels, origins[ray], directions[ray], SMALL)
        where = f"ray from {origins[ray]} along {directions[ray]}"
        assert int(hits.labels[0, ray]) == label, where
        assert float(hits.distances[0, ray]) == pytest.approx(distance, nan_ok=True), where


def random_labels(generator: np.random.Generator, density: float) -> Labels:
    labels = generator.integers(0, FREE_ID, SMALL.shape, dtype=np.uint8)
    return np.where(generator.random(SMALL.shape) < density, labels, np.uint8(FREE_ID))


EIGHTHS = st.tuples(st.integers(-50, 150), st.integers(-50, 80), st.integers(-10, 40))
"""Origins in eighths of a metre, a quarter of a voxel: in, on the border of and around SMALL."""
POWERS_OF_TWO = st.tuples(*[st.sampled_from([0.0, 0.25, -0.25, 0.5, -0.5, 1.0, -1.0])] * 3)
"""Components whose inverses floats hold exactly: boundaries coincide all the time."""


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    density=st.sampled_from([0.0, 0.01, 0.1, 0.5]),
    rays=st.lists(st.tuples(EIGHTHS, POWERS_OF_TWO.filter(any)), min_size=1, max_size=40),
)
def test_ties_fall_as_in_a_slow_walk(
    seed: int,
    density: float,
    rays: list[tuple[tuple[int, int, int], tuple[float, float, float]]],
) -> None:
    labels = random_labels(np.random.default_rng(seed), density)
    origins: Vectors = np.array([origin for origin, _ in rays]) / 8 + np.array(SMALL.lower)
    directions = np.array([direction for _, direction in rays])
    tables, starts, ways = (torch.from_numpy(a) for a in (labels[None], origins, directions))
    for dtype in (torch.float64, torch.float32):
        hits = cast_rays(tables, starts, ways.to(dtype), SMALL)
        assert_equals_slow_walk(labels, origins, directions, hits)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**31), density=st.sampled_from([0.0, 0.005, 0.05]))
def test_rays_at_random_end_as_in_a_slow_walk(seed: int, density: float) -> None:
    generator = np.random.default_rng(seed)
    labels = random_labels(generator, density)
    low, size = np.array(SMALL.lower), np.array(SMALL.shape) * SMALL.voxel_size
    origins = generator.uniform(low - 0.2 * size, low + 1.2 * size, (200, 3))
    directions = generator.normal(size=(200, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    tables, starts, ways = (torch.from_numpy(a) for a in (labels[None], origins, directions))
    assert_equals_slow_walk(labels, origins, directions, cast_rays(tables, starts, ways, SMALL))


@pytest.mark.gpu
def test_gpu_and_cpu_agree() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    generator = torch.Generator().manual_seed(0)
    occupied = torch.rand(2, *OCC3D_GRID.shape, generator=generator) < 0.002
    labels = torch.where(occupied, CAR, FREE_ID).to(torch.uint8)
    rays = rays_from(torch.tensor([[0.1, 0.2, 1.84], [30.3, -20.1, 7.0]]), ray_directions())
    cpu, gpu = cast_rays(labels, *rays), cast_rays(labels.cuda(), *rays)
    assert torch.equal(cpu.labels, gpu.labels.cpu())
    torch.testing.assert_close(cpu.distances, gpu.distances.cpu(), equal_nan=True)
