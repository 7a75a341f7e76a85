"""Confusion of labelled voxels and the scores made of it: conventions, absent ids, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gfocc_core.metrics.iou import (
    CONVENTION_A,
    CONVENTION_B,
    NUM_IDS,
    confusion_matrix,
    occupancy_scores,
)

OTHERS, CAR, DRIVEABLE, OTHER_FLAT, FREE = 0, 4, 11, 12, 17


def confusion_of(entries: dict[tuple[int, int], int]) -> torch.Tensor:
    """A confusion matrix from {(true id, predicted id): voxels}."""
    confusion = torch.zeros(NUM_IDS, NUM_IDS, dtype=torch.int64)
    for pair, count in entries.items():
        confusion[pair] = count
    return confusion


@pytest.fixture
def confusion() -> torch.Tensor:
    """Six kinds of voxels whose scores are worked out by hand in the tests below."""
    return confusion_of(
        {
            (CAR, CAR): 6,
            (CAR, OTHER_FLAT): 2,
            (OTHERS, CAR): 4,
            (OTHER_FLAT, OTHER_FLAT): 5,
            (FREE, CAR): 2,
            (DRIVEABLE, FREE): 3,
            (FREE, FREE): 10,
        }
    )


def test_convention_b_counts_every_voxel(confusion: torch.Tensor) -> None:
    scores = occupancy_scores(confusion, CONVENTION_B)
    # car: 6 of 8 true and 12 predicted; other_flat: 5 of 5 and 7; others and driveable: none right.
    car, other_flat = 100 * 6 / 14, 100 * 5 / 7
    assert scores.per_class[CAR].item() == pytest.approx(car)
    assert scores.per_class[OTHER_FLAT].item() == pytest.approx(other_flat)
    assert scores.per_class[OTHERS].item() == 0
    assert scores.per_class[DRIVEABLE].item() == 0
    assert scores.miou.item() == pytest.approx((car + other_flat) / 4)
    assert scores.iou.item() == pytest.approx(100 * 17 / (20 + 19 - 17))


def test_convention_a_drops_voxels_whose_truth_is_others_or_other_flat(
    confusion: torch.Tensor,
) -> None:
    scores = occupancy_scores(confusion, CONVENTION_A)
    # The 4 others seen as car leave, and so do the 5 of other_flat; 8 + 3 occupied ones stay.
    car = 100 * 6 / (8 + 8 - 6)
    assert scores.per_class[CAR].item() == pytest.approx(car)
    assert scores.miou.item() == pytest.approx(car / 2)
    assert scores.iou.item() == pytest.approx(100 * 8 / (11 + 10 - 8))


def test_an_id_predicted_but_absent_from_the_truth_scores_zero(confusion: torch.Tensor) -> None:
    assert occupancy_scores(confusion, CONVENTION_A).per_class[OTHER_FLAT].item() == 0
    predicted_only = confusion_of({(CAR, CAR): 1, (FREE, DRIVEABLE): 1})
    assert occupancy_scores(predicted_only, CONVENTION_B).miou.item() == 50


def test_an_id_that_occurs_nowhere_is_nan_and_skipped(confusion: torch.Tensor) -> None:
    scores = occupancy_scores(confusion, CONVENTION_B)
    occurring = {OTHERS, CAR, DRIVEABLE, OTHER_FLAT, FREE}
    assert {i for i in range(NUM_IDS) if not scores.per_class[i].isnan()} == occurring
    assert occupancy_scores(confusion, CONVENTION_A).per_class[OTHERS].isnan()


def test_nothing_to_score_is_nan_not_zero() -> None:
    for convention in (CONVENTION_A, CONVENTION_B):
        scores = occupancy_scores(confusion_of({}), convention)
        assert math.isnan(scores.miou.item())
        assert math.isnan(scores.iou.item())


def test_scoring_leaves_the_confusion_as_it_was(confusion: torch.Tensor) -> None:
    before = confusion.double().clone()
    given_as_float = confusion.double()
    occupancy_scores(given_as_float, CONVENTION_A)
    assert torch.equal(given_as_float, before)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**31), shape=st.tuples(*[st.integers(1, 5)] * 3))
def test_confusion_equals_counting_voxel_by_voxel(seed: int, shape: tuple[int, int, int]) -> None:
    generator = np.random.default_rng(seed)
    prediction, truth = generator.integers(0, NUM_IDS, (2, *shape), dtype=np.uint8)
    mask = generator.random(shape) < 0.6
    expected = np.zeros((NUM_IDS, NUM_IDS), dtype=np.int64)
    for index in np.ndindex(*shape):
        if mask[index]:
            expected[truth[index], prediction[index]] += 1
    arrays = [torch.from_numpy(array) for array in (prediction, truth, mask)]
    assert torch.equal(confusion_matrix(*arrays), torch.from_numpy(expected))
    assert int(confusion_matrix(*arrays[:2]).sum()) == truth.size


def test_a_mask_that_hides_everything_counts_nothing() -> None:
    labels = torch.full((2, 2, 2), CAR, dtype=torch.uint8)
    assert int(confusion_matrix(labels, labels, torch.zeros(2, 2, 2, dtype=torch.bool)).sum()) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prediction": torch.zeros(2, 2, 3, dtype=torch.uint8)}, r"prediction .*\[2, 2, 2\]"),
        ({"prediction": torch.full((2, 2, 2), 18)}, "prediction must hold ids 0 to 17, got 18"),
        ({"truth": torch.full((2, 2, 2), -1)}, "truth must hold ids 0 to 17, got -1"),
        ({"truth": torch.zeros(2, 2, 2)}, "truth must hold integer ids, got torch.float32"),
        ({"mask": torch.ones(2, 2, 2)}, "mask must be bool"),
        ({"mask": torch.ones(2, 2, dtype=torch.bool)}, r"mask must be bool .*\[2, 2\]"),
    ],
)
def test_bad_input_is_named(change: dict[str, torch.Tensor], message: str) -> None:
    labels = torch.zeros(2, 2, 2, dtype=torch.uint8)
    mask = torch.ones(2, 2, 2, dtype=torch.bool)
    with pytest.raises(ValueError, match=message):
        confusion_matrix(**{"prediction": labels, "truth": labels, "mask": mask, **change})
