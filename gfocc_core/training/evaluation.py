"""Score predictions against Occ3D ground truth, scene by scene in the order they were driven."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from gfocc_core.atomic_file import write_atomically
from gfocc_core.data.frames import REFERENCE_CHANNEL, load_frame
from gfocc_core.data.occ3d import occ3d_path, read_occ3d
from gfocc_core.data.scenes import DatasetError, get_record, keyframe_tokens
from gfocc_core.data.sensors import ego_from_sensor, global_from_ego, keyframe_reading
from gfocc_core.geometry import invert_transform, transform_points
from gfocc_core.grid import OCC3D_GRID, VoxelGrid
from gfocc_core.metrics.accumulators import OccupancyIoU, RayIoU
from gfocc_core.metrics.ray_set import select_ray_origins
from gfocc_core.predictor import OccupancyPredictor
from gfocc_core.taxonomy import CLASS_NAMES, FREE_ID

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes


class Predictions(Protocol):
    """Where the labels of a keyframe come from."""

    def labels(self, nusc: NuScenes, token: str) -> Tensor:
        """uint8 [X, Y, Z] of one keyframe; asked in the order of a scene."""


class OnlinePredictions:
    """A network, run with its memory over the scenes."""

    def __init__(self, predictor: OccupancyPredictor) -> None:
        self._predictor = predictor

    def labels(self, nusc: NuScenes, token: str) -> Tensor:
        return self._predictor.predict(load_frame(nusc, token)).labels


class SavedPredictions:
    """`<folder>/<token>.npz` with an array `labels`, as `save_labels` writes them."""

    def __init__(self, folder: Path, grid: VoxelGrid = OCC3D_GRID) -> None:
        if not folder.is_dir():
            raise DatasetError(f"predictions '{folder}' is not a folder")
        self._folder, self._grid = folder, grid

    def labels(self, nusc: NuScenes, token: str) -> Tensor:
        path = self._folder / f"{token}.npz"
        if not path.is_file():
            raise DatasetError(f"prediction '{path}' is missing")
        try:
            with np.load(path, allow_pickle=False) as archive:
                labels = archive["labels"]
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise DatasetError(f"prediction '{path}' cannot be read: {error}") from error
        if labels.shape != self._grid.shape or labels.dtype != np.uint8:
            raise DatasetError(
                f"prediction '{path}' must be uint8 {list(self._grid.shape)}, "
                f"got {labels.dtype} {list(labels.shape)}"
            )
        return torch.from_numpy(labels)


@dataclass(frozen=True)
class Scores:
    """What the field reports, all in per cent; NaN where there was nothing to score."""

    keyframes: int
    voxels: dict[str, Any]
    """miou_a, iou_a, miou_b, iou_b and per_class_a, per_class_b ([18])."""
    rays: dict[str, Any]
    """rayiou, rayiou_15, rayiou_1m, rayiou_2m, rayiou_4m and rayiou_per_class ([3, 17])."""

    def to_json(self) -> str:
        """Plain JSON; NaN becomes null."""
        values = {"keyframes": self.keyframes, "classes": CLASS_NAMES, **self.voxels, **self.rays}
        return json.dumps(_without_nan(values), indent=1)


def evaluate(
    nusc: NuScenes,
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
    voxels, rays = OccupancyIoU(), RayIoU()
    count = 0
    for scene in scenes:
        for token in keyframe_tokens(nusc, scene):
            truth = read_occ3d(occ3d_path(nusc.dataroot, scene, token))
            labels = predictions.labels(nusc, token)
            truth = truth.to(labels.device)
            if save_to is not None:
                save_labels(save_to, token, labels)
            voxels.to(labels.device).update(labels, truth.semantics, truth.mask_camera)
            origins = select_ray_origins(torch.stack(list(_lidar_positions(nusc, scene, token))))
            rays.to(labels.device).update(labels, truth.semantics, origins.to(labels.device))
            count += 1
            on_keyframe()
    return Scores(count, _plain(voxels.compute()), _plain(rays.compute()))


def save_labels(folder: Path, token: str, labels: Tensor) -> None:
    """Write `<folder>/<token>.npz`, atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    values = labels.cpu().numpy()
    write_atomically(
        folder / f"{token}.npz", lambda stream: np.savez_compressed(stream, labels=values)
    )


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
        f"over {scores.keyframes} keyframes, per cent; A leaves out others and other_flat, B nothing",
    ]
    return "\n".join(rows)


def _lidar_positions(nusc: NuScenes, scene: str, token: str) -> Iterator[Tensor]:
    """LIDAR_TOP of every keyframe of the scene in one keyframe's reference ego frame: [3] each."""
    here = get_record(nusc, "sample", token)
    ego_from_global = invert_transform(
        global_from_ego(nusc, keyframe_reading(nusc, here, REFERENCE_CHANNEL))
    )
    for other in keyframe_tokens(nusc, scene):
        reading = keyframe_reading(nusc, get_record(nusc, "sample", other), REFERENCE_CHANNEL)
        mounted = ego_from_sensor(nusc, reading)[:3, 3]
        at_its_time = transform_points(global_from_ego(nusc, reading), mounted[None])
        yield transform_points(ego_from_global, at_its_time)[0]


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
