"""mIoU and IoU of labelled voxels from their confusion matrix, under both reported conventions.

Papers mix the two, and they differ by more than most methods do: always report both.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gfocc_core.taxonomy import CLASS_NAMES, FREE_ID

NUM_IDS = len(CLASS_NAMES)


@dataclass(frozen=True)
class Convention:
    """Which voxels count and which ids the mean is taken over."""

    name: str
    ignored_truth: tuple[int, ...]
    """Voxels whose true id is one of these leave the mask."""
    averaged: tuple[int, ...]
    """Ids of the mean."""


CONVENTION_A = Convention("A", (0, 12), tuple(i for i in range(FREE_ID) if i not in (0, 12)))
"""The paper's: without others and other_flat, mean over 15 ids."""
CONVENTION_B = Convention("B", (), tuple(range(FREE_ID)))
"""Nothing leaves the mask, mean over 17 ids."""


@dataclass(frozen=True)
class OccupancyScores:
    """Scores in per cent, float64; NaN where there was nothing to score."""

    miou: Tensor
    """[] mean over the convention's ids that occur."""
    iou: Tensor
    """[] occupied versus free."""
    per_class: Tensor
    """[18] IoU of each id; NaN where the id is neither in the masked truth nor predicted there."""


def confusion_matrix(prediction: Tensor, truth: Tensor, mask: Tensor | None = None) -> Tensor:
    """Count voxels by true and predicted id.

    Args:
        prediction: integer [X, Y, Z] (or any shape) of ids 0 to 17.
        truth: the same for the ground truth.
        mask: bool of the same shape, True where a voxel counts; None for all of them.

    Returns:
        int64 [18, 18], rows are true ids, columns predicted ones.

    Raises:
        ValueError: shapes differ, the mask is not bool, or an id is out of range.
    """
    if prediction.shape != truth.shape:
        raise ValueError(
            f"prediction must have truth's shape {list(truth.shape)}, got {list(prediction.shape)}"
        )
    check_ids("prediction", prediction)
    check_ids("truth", truth)
    if mask is not None:
        if mask.dtype != torch.bool or mask.shape != truth.shape:
            raise ValueError(
                f"mask must be bool {list(truth.shape)}, got {mask.dtype} {list(mask.shape)}"
            )
        prediction, truth = prediction[mask], truth[mask]
    pairs = truth.long() * NUM_IDS + prediction.long()
    return pairs.flatten().bincount(minlength=NUM_IDS**2).view(NUM_IDS, NUM_IDS)


def check_ids(name: str, labels: Tensor) -> None:
    """Raise ValueError unless the labels are integers from 0 to 17."""
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"{name} must hold integer ids, got {labels.dtype}")
    if labels.numel() == 0:
        return
    low, high = torch.stack(labels.aminmax()).tolist()
    if low < 0 or high >= NUM_IDS:
        raise ValueError(f"{name} must hold ids 0 to {NUM_IDS - 1}, got {low} to {high}")


def occupancy_scores(confusion: Tensor, convention: Convention) -> OccupancyScores:
    """Scores of a confusion matrix ([18, 18], rows are true ids) under one convention."""
    counted = confusion.double().clone()
    counted[list(convention.ignored_truth)] = 0
    per_class = 100 * intersection_over_union(counted.diagonal(), counted.sum(1), counted.sum(0))
    occupied = counted[:FREE_ID, :FREE_ID].sum()
    iou = 100 * intersection_over_union(
        occupied, counted[:FREE_ID].sum(), counted[:, :FREE_ID].sum()
    )
    return OccupancyScores(per_class[list(convention.averaged)].nanmean(), iou, per_class)


def intersection_over_union(hits: Tensor, truth: Tensor, predicted: Tensor) -> Tensor:
    """hits / (truth + predicted - hits) in float64; NaN where the union is empty."""
    return hits.double() / (truth + predicted - hits).double()
