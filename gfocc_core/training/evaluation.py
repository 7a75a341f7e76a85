"""Score predictions against Occ3D ground truth, scene by scene in the order they were driven."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from gfocc_core.data.scenes import DatasetError
from gfocc_core.grid import OCC3D_GRID, VoxelGrid
from gfocc_core.metrics.accumulators import OccupancyIoU, RayIoU
from gfocc_core.metrics.iou import CONVENTION_A
from gfocc_core.predictor import OccupancyPredictor
from gfocc_core.taxonomy import CLASS_NAMES, DYNAMIC_IDS, FREE_ID
from gfocc_core.training.keyframe_source import KeyframeDataset, keyframe_source
from gfocc_core.training.label_file import read_label_file, save_label_file
from gfocc_core.training.scored_keyframes import KeyframeTruth, scored_keyframes


class Predictions(Protocol):
    """Where the labels of a keyframe come from."""

    def labels(self, dataset: KeyframeDataset, token: str) -> Tensor:
        """uint8 [X, Y, Z] of one keyframe; asked in the order of a scene."""


class OnlinePredictions:
    """A network, run with its memory over the scenes."""

    def __init__(self, predictor: OccupancyPredictor) -> None:
        self._predictor = predictor

    def labels(self, dataset: KeyframeDataset, token: str) -> Tensor:
        return self._predictor.predict(keyframe_source(dataset).frame(token)).labels


class SavedPredictions:
    """`<folder>/<token>.npz` with an array `labels`, as `save_labels` writes them."""

    def __init__(self, folder: Path, grid: VoxelGrid = OCC3D_GRID) -> None:
        if not folder.is_dir():
            raise DatasetError(f"predictions '{folder}' is not a folder")
        self._folder, self._grid = folder, grid

    def labels(self, dataset: KeyframeDataset, token: str) -> Tensor:
        path = self._folder / f"{token}.npz"
        return torch.from_numpy(read_label_file(path, "prediction", self._grid))


@dataclass(frozen=True)
class Scores:
    """What the field reports, all in per cent; NaN where there was nothing to score."""

    keyframes: int
    voxels: dict[str, Any]
    """miou_a, iou_a, miou_b, iou_b and per_class_a, per_class_b ([18]); of convention A also
    miou_dynamic and miou_static, the means over the ids that move by themselves and the others."""
    rays: dict[str, Any]
    """rayiou, rayiou_15, rayiou_1m, rayiou_2m, rayiou_4m and rayiou_per_class ([3, 17])."""
    moving: dict[str, Any]
    """Of the voxels around objects in motion (moving_objects): moving_voxels, how many cameras see,
    moving_miou over the dynamic ids, and moving_iou, occupied versus free."""

    def to_json(self) -> str:
        """Plain JSON; NaN becomes null."""
        values = {
            "keyframes": self.keyframes,
            "classes": CLASS_NAMES,
            **self.voxels,
            **self.rays,
            **self.moving,
        }
        return json.dumps(_without_nan(values), indent=1)


class ScoreTally:
    """Adds up keyframes, all on one device, to their scores."""

    def __init__(self) -> None:
        self._keyframes = 0
        self._voxels, self._rays, self._moving = OccupancyIoU(), RayIoU(), OccupancyIoU()

    def add(self, labels: Tensor, truth: KeyframeTruth) -> None:
        """Count one keyframe's predicted labels, uint8 [X, Y, Z], on the device of its truth."""
        for metric in (self._voxels, self._rays, self._moving):
            metric.to(labels.device)
        semantics, mask = truth.labels.semantics, truth.labels.mask_camera
        self._voxels.update(labels, semantics, mask)
        self._rays.update(labels, semantics, truth.ray_origins)
        self._moving.update(labels, semantics, mask & truth.moving)
        self._keyframes += 1

    def scores(self) -> Scores:
        """Of the keyframes so far."""
        voxels = self._voxels.compute()
        return Scores(
            self._keyframes,
            _plain(voxels) | _means_of_groups(voxels["per_class_a"]),
            _plain(self._rays.compute()),
            _moving_scores(self._moving),
        )


def evaluate(
    dataset: KeyframeDataset,
    scenes: Sequence[str],
    predictions: Predictions,
    *,
    save_to: Path | None = None,
    on_keyframe: Callable[[], None] = lambda: None,
) -> Scores:
    """Score every keyframe of some scenes.

    Args:
        save_to: also write each keyframe's labels there.
        on_keyframe: called after each.

    Raises:
        DatasetError: an unknown scene, or ground truth, an image or a prediction is missing.
    """
    tally = ScoreTally()
    for keyframe in scored_keyframes(dataset, scenes):
        labels = predictions.labels(dataset, keyframe.token)
        if save_to is not None:
            save_labels(save_to, keyframe.token, labels)
        tally.add(labels, keyframe.truth(dataset, labels.device))
        on_keyframe()
    return tally.scores()


def save_labels(folder: Path, token: str, labels: Tensor) -> None:
    """Write `<folder>/<token>.npz`, atomically."""
    save_label_file(folder / f"{token}.npz", labels.cpu().numpy())


def _means_of_groups(per_class: Tensor) -> dict[str, float]:
    still = [i for i in CONVENTION_A.averaged if i not in DYNAMIC_IDS]
    return {
        "miou_dynamic": float(per_class[list(DYNAMIC_IDS)].nanmean()),
        "miou_static": float(per_class[still].nanmean()),
    }


def _moving_scores(metric: OccupancyIoU) -> dict[str, float]:
    scores = metric.compute()
    return {
        "moving_voxels": int(metric.confusion.sum()),
        "moving_miou": float(scores["per_class_a"][list(DYNAMIC_IDS)].nanmean()),
        "moving_iou": float(scores["iou_a"]),
    }


def score_table(scores: Scores) -> str:
    """The table that the field prints: per class under both conventions, then the summary."""
    rows = [f"{'class':24}{'IoU A':>9}{'IoU B':>9}{'Ray@1m':>9}{'Ray@2m':>9}{'Ray@4m':>9}"]
    per_ray = scores.rays["rayiou_per_class"]
    for class_id, name in enumerate(CLASS_NAMES[:FREE_ID]):
        cells = [scores.voxels["per_class_a"][class_id], scores.voxels["per_class_b"][class_id]]
        cells += [per_ray[threshold][class_id] for threshold in range(3)]
        rows.append(f"{name:24}" + "".join(_cell(value) for value in cells))
    rows.append("")
    voxels, rays = scores.voxels, scores.rays
    rows += [
        f"mIoU   A (15 classes) {_cell(voxels['miou_a'])}   B (17 classes) {_cell(voxels['miou_b'])}",
        f"IoU    A              {_cell(voxels['iou_a'])}   B              {_cell(voxels['iou_b'])}",
        f"RayIoU 17 classes     {_cell(rays['rayiou'])}   15 classes     {_cell(rays['rayiou_15'])}",
        f"       at 1 / 2 / 4 m {_cell(rays['rayiou_1m'])}{_cell(rays['rayiou_2m'])}"
        f"{_cell(rays['rayiou_4m'])}",
        f"dynamic / static ids A{_cell(voxels['miou_dynamic'])}{_cell(voxels['miou_static'])}",
        f"around moving objects: mIoU of dynamic ids {_cell(scores.moving['moving_miou'])}   "
        f"IoU {_cell(scores.moving['moving_iou'])}",
        f"over {scores.keyframes} keyframes, per cent; A leaves out others and other_flat, B nothing",
    ]
    return "\n".join(rows)


def _plain(values: dict[str, Tensor]) -> dict[str, Any]:
    return {name: value.tolist() for name, value in values.items()}


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, dict):
        return {name: _without_nan(entry) for name, entry in value.items()}
    return [_without_nan(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def _cell(value: float) -> str:
    return f"{'-':>9}" if math.isnan(value) else f"{value:9.2f}"
