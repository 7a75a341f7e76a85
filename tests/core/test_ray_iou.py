"""RayIoU beyond the reference vectors: the ray set, its origins, counting and scoring."""

from __future__ import annotations

import math

import pytest
import torch

from gfocc_core.grid import OCC3D_GRID, VoxelGrid
from gfocc_core.metrics.ray_casting import RayHits
from gfocc_core.metrics.ray_iou import RayCounts, count_rays, count_sample, ray_iou
from gfocc_core.metrics.ray_set import ray_directions, rays_from, select_ray_origins

OTHERS, CAR, OTHER_FLAT, TREE, FREE = 0, 4, 12, 16, 17
ORIGIN = torch.tensor([[0.1, 0.2, 1.84]])


def hits(*rays: tuple[int, float]) -> RayHits:
    labels, distances = zip(*rays, strict=True)
    return RayHits(torch.tensor(labels), torch.tensor(distances))


def free() -> torch.Tensor:
    return torch.full(OCC3D_GRID.shape, FREE, dtype=torch.uint8)


def test_the_fan_is_39_rings_of_unit_vectors_pitch_major() -> None:
    fan = ray_directions()
    assert fan.shape == (39 * 360, 3)
    torch.testing.assert_close(fan.norm(dim=1), torch.ones(len(fan)))
    rings = fan.view(39, 360, 3)
    pitch = rings[:, 0, 2].asin()
    assert bool((pitch.diff() > 0).all())
    # The lowest ring falls as far as it goes ahead; ten rings are placed on the ground like it.
    ground = rings[:10, 0, 0] / -rings[:10, 0, 2]
    torch.testing.assert_close(ground, torch.arange(1.0, 11.0))
    torch.testing.assert_close(pitch[9:].diff(), pitch[9:10].sub(pitch[8:9]).expand(29))
    assert pitch[-2] < 0.21 <= pitch[-1]
    torch.testing.assert_close(rings[0, 90, :2] / rings[0, 90, :2].norm(), torch.tensor([0.0, 1.0]))


def test_rays_are_listed_origin_by_origin() -> None:
    origins = torch.tensor([[1.0, 0, 0], [2.0, 0, 0]])
    starts, directions = rays_from(origins, torch.eye(3))
    assert starts[:, 0].tolist() == [1, 1, 1, 2, 2, 2]
    assert directions.argmax(1).tolist() == [0, 1, 2, 0, 1, 2]


def test_lidar_positions_too_far_ahead_or_aside_cast_no_rays() -> None:
    positions = torch.tensor(
        [[-39.0, 0, 2], [-38.9, 0, 2], [0, 39.5, 2], [0, 38.9, 2], [0, 0, 50], [45, 45, 2]]
    )
    assert select_ray_origins(positions).tolist() == positions[[1, 3, 4]].tolist()


def test_up_to_eight_positions_are_all_kept() -> None:
    positions = torch.arange(24.0).view(8, 3)
    assert torch.equal(select_ray_origins(positions), positions)
    assert select_ray_origins(torch.full((3, 3), 50.0)).shape == (0, 3)


def test_more_than_eight_positions_are_picked_evenly_after_the_far_ones_left() -> None:
    near = torch.zeros(20, 3, dtype=torch.float64)
    near[:, 0] = torch.arange(20) - 5
    far = torch.full((4, 3), -100.0, dtype=torch.float64)
    picked = select_ray_origins(torch.cat([far, near]))
    assert (picked[:, 0] + 5).tolist() == [0, 3, 5, 8, 11, 14, 16, 19]


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        (torch.zeros(4, 2), r"must be \[n, 3\], got \[4, 2\]"),
        (torch.tensor([[0.0, math.nan, 1.0]]), "holds a NaN"),
    ],
)
def test_unusable_lidar_positions_are_named(positions: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=f"lidar_positions_in_ego {message}"):
        select_ray_origins(positions)


def test_a_ray_is_right_when_its_distance_is_off_by_less_than_the_threshold() -> None:
    truth = hits((CAR, 10.0), (CAR, 10.0), (CAR, 10.0), (CAR, 10.0), (TREE, 10.0))
    prediction = hits((CAR, 10.5), (CAR, 9.0), (CAR, 13.0), (CAR, 14.0), (CAR, 10.0))
    counts = count_rays(prediction, truth)
    assert counts.hits[:, CAR].tolist() == [1, 2, 3]
    assert int(counts.hits.sum()) == 6
    assert (int(counts.truth[CAR]), int(counts.truth[TREE])) == (4, 1)
    assert (int(counts.predicted[CAR]), int(counts.predicted[TREE])) == (5, 0)


def test_rays_whose_truth_is_free_drop_out_of_every_count() -> None:
    truth = hits((FREE, 40.0), (FREE, 40.0), (CAR, 10.0))
    prediction = hits((CAR, 40.0), (FREE, 40.0), (FREE, 40.0))
    counts = count_rays(prediction, truth)
    assert int(counts.hits.sum()) == 0
    assert int(counts.predicted.sum()) == 0
    assert int(counts.truth.sum()) == int(counts.truth[CAR]) == 1


def test_scores_are_worked_out_from_the_sums_of_all_samples() -> None:
    truth = hits((CAR, 10.0), (CAR, 10.0), (TREE, 10.0), (OTHER_FLAT, 10.0))
    first = count_rays(hits((CAR, 10.0), (TREE, 10.0), (TREE, 11.5), (CAR, 10.0)), truth)
    second = count_rays(hits((CAR, 10.0), (CAR, 10.0), (FREE, 50.0), (OTHER_FLAT, 10.0)), truth)
    scores = ray_iou(first + second)
    # car: 3 right of 4 true and 4 predicted. tree: 1 of 2 and 2, not at 1 m. other_flat: 1 of 2.
    car, tree, other_flat = 300 / 5, 100 / 3, 100 / 2
    assert scores.per_class[:, CAR].tolist() == pytest.approx([car] * 3)
    assert scores.per_class[:, TREE].tolist() == pytest.approx([0, tree, tree])
    assert scores.per_class[:, OTHER_FLAT].tolist() == pytest.approx([other_flat] * 3)
    per_threshold = [(car + other_flat + t) / 3 for t in (0, tree, tree)]
    assert scores.per_threshold.tolist() == pytest.approx(per_threshold)
    assert scores.mean.item() == pytest.approx(sum(per_threshold) / 3)
    assert scores.mean_15.item() == pytest.approx(sum((car + t) / 2 for t in (0, tree, tree)) / 3)


def test_an_id_without_any_ray_is_nan_and_one_only_predicted_scores_zero() -> None:
    counts = count_rays(hits((CAR, 10.0), (OTHERS, 10.0)), hits((CAR, 10.0), (CAR, 10.0)))
    scores = ray_iou(counts)
    assert scores.per_class[0, OTHERS].item() == 0
    assert int(scores.per_class[0].isnan().sum()) == 15
    assert scores.mean.item() == pytest.approx(25)
    assert scores.mean_15.item() == pytest.approx(50)


def test_no_rays_score_nan() -> None:
    zeros = torch.zeros(17, dtype=torch.int64)
    assert ray_iou(RayCounts(zeros.repeat(3, 1), zeros, zeros)).mean.isnan()


def test_a_perfect_prediction_scores_100_and_a_wall_3_m_behind_only_at_4_m() -> None:
    near, far = free(), free()
    near[120:122], far[127:129] = CAR, CAR
    assert ray_iou(count_sample(near, near, ORIGIN)).mean.item() == 100
    scores = ray_iou(count_sample(far, near, ORIGIN)).per_class[:, CAR].tolist()
    # The wall moved by 2.8 m: by up to 4 m along rays within 45 degrees, by more along the others.
    assert scores[:2] == [0, 0]
    assert 0 < scores[2] < 100


def test_rays_of_a_sample_are_those_of_all_its_origins() -> None:
    truth = free()
    truth[..., :2] = TREE
    origins = torch.tensor([[0.1, 0.2, 1.84], [20.1, -10.2, 1.84], [0.0, 0.0, 8.0]])
    together = count_sample(truth, truth, origins)
    apart = [count_sample(truth, truth, origin[None]) for origin in origins]
    summed = apart[0] + apart[1] + apart[2]
    assert torch.equal(together.hits, summed.hits)
    assert torch.equal(together.truth, summed.truth)
    assert int(together.truth.sum()) > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prediction": free()[:100]}, r"prediction must be \[200, 200, 16\], got \[100"),
        ({"truth": free() + 1}, "truth must hold ids 0 to 17, got 18"),
        ({"origins": torch.zeros(3)}, r"origins must be \[O, 3\], got \[3\]"),
    ],
)
def test_bad_input_is_named(change: dict[str, torch.Tensor], message: str) -> None:
    given = {"prediction": free(), "truth": free(), "origins": ORIGIN, **change}
    with pytest.raises(ValueError, match=message):
        count_sample(given["prediction"], given["truth"], given["origins"])


def test_rays_of_another_number_than_the_truth_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one shape, got \[\[1\], \[1\], \[2\], \[2\]\]"):
        count_rays(hits((CAR, 1.0)), hits((CAR, 1.0), (CAR, 2.0)))


def test_other_grids_are_scored_too() -> None:
    grid = VoxelGrid(lower=(-8.0, -8.0, -1.0), voxel_size=0.8, shape=(20, 20, 8))
    labels = torch.full(grid.shape, FREE, dtype=torch.int64)
    labels[..., 0] = TREE
    scores = ray_iou(count_sample(labels, labels, ORIGIN, grid))
    assert scores.per_class[:, TREE].tolist() == [100, 100, 100]
