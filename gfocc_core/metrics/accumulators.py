"""Torchmetrics classes that add the counts up over batches and processes; the pure functions score.

Apart from the rest of the package because only training and evaluation need torchmetrics.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from gfocc_core.grid import OCC3D_GRID, VoxelGrid
from gfocc_core.metrics.iou import (
    CONVENTION_A,
    CONVENTION_B,
    NUM_IDS,
    confusion_matrix,
    occupancy_scores,
)
from gfocc_core.metrics.ray_iou import THRESHOLDS_M, RayCounts, count_sample, ray_iou
from gfocc_core.taxonomy import FREE_ID


class OccupancyIoU(Metric):
    """mIoU and IoU of a whole set under both conventions."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    confusion: Tensor

    def __init__(self) -> None:
        super().__init__()
        zeros = torch.zeros(NUM_IDS, NUM_IDS, dtype=torch.int64)
        self.add_state("confusion", zeros, dist_reduce_fx="sum")

    def update(self, prediction: Tensor, truth: Tensor, mask: Tensor | None = None) -> None:
        """Add voxels; arguments as for `confusion_matrix`, of any number of samples."""
        self.confusion += confusion_matrix(prediction, truth, mask)

    def compute(self) -> dict[str, Tensor]:
        """`miou_a`, `iou_a` ([]) and `per_class_a` ([18]) in per cent, and the same with `_b`."""
        scores: dict[str, Tensor] = {}
        for convention in (CONVENTION_A, CONVENTION_B):
            of = occupancy_scores(self.confusion, convention)
            suffix = convention.name.lower()
            scores[f"miou_{suffix}"] = of.miou
            scores[f"iou_{suffix}"] = of.iou
            scores[f"per_class_{suffix}"] = of.per_class
        return scores


class RayIoU(Metric):
    """RayIoU of a whole set."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    hits: Tensor
    truth: Tensor
    predicted: Tensor

    def __init__(self, grid: VoxelGrid = OCC3D_GRID) -> None:
        super().__init__()
        self.grid = grid
        per_class = torch.zeros(FREE_ID, dtype=torch.int64)
        self.add_state("hits", per_class.repeat(len(THRESHOLDS_M), 1), dist_reduce_fx="sum")
        self.add_state("truth", per_class.clone(), dist_reduce_fx="sum")
        self.add_state("predicted", per_class.clone(), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, truth: Tensor, origins: Tensor) -> None:
        """Add one sample; arguments as for `count_sample`."""
        counts = count_sample(prediction, truth, origins, self.grid)
        self.hits += counts.hits
        self.truth += counts.truth
        self.predicted += counts.predicted

    def compute(self) -> dict[str, Tensor]:
        """`rayiou`, `rayiou_15`, `rayiou_1m`, `_2m`, `_4m` ([]) and `rayiou_per_class` ([3, 17])
        in per cent."""
        of = ray_iou(RayCounts(self.hits, self.truth, self.predicted))
        return {
            "rayiou": of.mean,
            "rayiou_15": of.mean_15,
            **{
                f"rayiou_{limit:g}m": score
                for limit, score in zip(THRESHOLDS_M, of.per_threshold, strict=True)
            },
            "rayiou_per_class": of.per_class,
        }
