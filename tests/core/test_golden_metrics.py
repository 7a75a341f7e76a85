"""Parity of mIoU, IoU and RayIoU with the reference vectors (tolerances of their README)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from gfocc_core.metrics.iou import (
    CONVENTION_A,
    OccupancyScores,
    confusion_matrix,
    occupancy_scores,
)
from gfocc_core.metrics.ray_casting import RayHits, cast_rays
from gfocc_core.metrics.ray_iou import RayCounts, RayIouScores, count_rays, count_sample, ray_iou
from gfocc_core.metrics.ray_set import ray_directions, rays_from
from tests.conftest import GOLDEN_DIR

pytestmark = pytest.mark.golden


def _vector_files() -> list[Path]:
    if not GOLDEN_DIR.is_dir():
        return []
    return [path for path in sorted(GOLDEN_DIR.glob("*.npz")) if _holds_metrics(path)]


def _holds_metrics(path: Path) -> bool:
    with np.load(path) as archive:
        return "miou" in archive.files


VECTOR_FILES: list[Path | None] = [*_vector_files()] or [None]


@dataclass(frozen=True)
class Vectors:
    """The arrays of one file."""

    arrays: dict[str, Tensor]

    def __getitem__(self, name: str) -> Tensor:
        return self.arrays[name]

    @property
    def samples(self) -> list[str]:
        return sorted(name.removesuffix("/pred") for name in self.arrays if name.endswith("/pred"))

    def stored_hits(self, sample: str, grid: str) -> RayHits:
        label, distance = self[f"{sample}/ray_{grid}_label_dist"].unbind(-1)
        return RayHits(label.long(), distance)


@pytest.fixture(scope="module", params=VECTOR_FILES, ids=lambda p: p and p.name)
def vectors(request: pytest.FixtureRequest, golden_dir: Path) -> Vectors:
    if request.param is None:
        pytest.skip(f"no file in {golden_dir} holds miou")
    with np.load(request.param) as archive:
        return Vectors({n: torch.from_numpy(np.asarray(archive[n])) for n in archive.files})


def _largest(name: str, ours: Tensor, expected: Tensor) -> float:
    """Largest difference, which is printed; NaN must meet NaN."""
    assert ours.shape == expected.shape
    assert torch.equal(ours.isnan(), expected.isnan()), f"{name}: NaN at other places"
    difference = float((ours.double() - expected.double()).abs().nan_to_num().max())
    print(f"{name}: largest difference {difference:.3g}")
    return difference


@pytest.fixture(scope="module")
def voxel_scores(vectors: Vectors) -> OccupancyScores:
    confusion = sum(
        confusion_matrix(vectors[f"{s}/pred"], vectors[f"{s}/gt"], vectors[f"{s}/mask_camera"])
        for s in vectors.samples
    )
    assert isinstance(confusion, Tensor)
    return occupancy_scores(confusion, CONVENTION_A)


@pytest.mark.parametrize(("ours", "theirs"), [("miou", "miou"), ("iou", "iou_occupied")])
def test_voxel_scores_equal_the_reference_to_two_decimals(
    vectors: Vectors, voxel_scores: OccupancyScores, ours: str, theirs: str
) -> None:
    score, expected = float(getattr(voxel_scores, ours)), float(vectors[theirs])
    print(f"{theirs}: {score:.6f}, reference {expected:.6f} per cent")
    assert round(score, 2) == round(expected, 2)


def test_iou_of_each_class_equals_the_reference(
    vectors: Vectors, voxel_scores: OccupancyScores
) -> None:
    expected = 100 * vectors["per_class_iou"]
    assert _largest("per class IoU (per cent)", voxel_scores.per_class, expected) < 1e-6


def test_ray_set_is_the_reference_ray_set(vectors: Vectors) -> None:
    assert _largest("ray directions", ray_directions(), vectors["ray_directions"]) < 1e-6


def test_rays_end_in_the_same_class_at_the_same_distance(vectors: Vectors) -> None:
    same, near = [], []
    for sample in vectors.samples:
        rays = rays_from(vectors[f"{sample}/origins"], vectors["ray_directions"])
        for name in ("pred", "gt"):
            hits = cast_rays(vectors[f"{sample}/{name}"][None], *rays)
            expected = vectors.stored_hits(sample, name)
            same.append(hits.labels[0] == expected.labels)
            difference = (hits.distances[0] - expected.distances).abs()
            near.append(difference < 1e-3)
            print(
                f"{sample} {name}: {int((~same[-1]).sum())} of {len(same[-1])} labels differ, "
                f"{int((~near[-1]).sum())} distances by more than 1 mm, 99.9 % of them by less "
                f"than {1e3 * float(difference.quantile(0.999)):.3f} mm"
            )
    assert float(torch.cat(same).double().mean()) >= 0.999
    assert float(torch.cat(near).double().mean()) >= 0.999


def _summed(counts: list[RayCounts]) -> RayIouScores:
    total = counts[0]
    for more in counts[1:]:
        total = total + more
    return ray_iou(total)


def test_ray_iou_equals_the_reference(vectors: Vectors) -> None:
    scores = _summed(
        [
            count_sample(vectors[f"{s}/pred"], vectors[f"{s}/gt"], vectors[f"{s}/origins"])
            for s in vectors.samples
        ]
    )
    assert _largest("RayIoU", scores.mean / 100, vectors["rayiou"]) < 1e-5
    expected = vectors["rayiou_per_threshold_class"]
    assert _largest("RayIoU per class", scores.per_class / 100, expected) < 2e-4


def test_ray_iou_of_the_stored_rays_is_exact(vectors: Vectors) -> None:
    scores = _summed(
        [
            count_rays(vectors.stored_hits(s, "pred"), vectors.stored_hits(s, "gt"))
            for s in vectors.samples
        ]
    )
    assert _largest("RayIoU of stored rays", scores.mean / 100, vectors["rayiou"]) < 1e-12
    expected = vectors["rayiou_per_threshold_class"]
    assert _largest("the same per class", scores.per_class / 100, expected) < 1e-12
