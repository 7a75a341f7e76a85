"""The keyframes of some scenes in the order they were driven, with what their predictions are
compared with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gfocc_core.data.frames import REFERENCE_CHANNEL
from gfocc_core.data.lidar_positions import lidar_positions
from gfocc_core.data.occ3d import Occ3dLabels, occ3d_path, read_occ3d
from gfocc_core.data.scenes import get_record, keyframe_tokens
from gfocc_core.data.sensors import global_from_ego, keyframe_reading
from gfocc_core.geometry import invert_transform, transform_points
from gfocc_core.metrics.ray_set import select_ray_origins
from gfocc_core.training.moving_objects import moving_region

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes


@dataclass(frozen=True)
class KeyframeTruth:
    """What a keyframe's labels are compared with, in its reference ego frame."""

    labels: Occ3dLabels
    ray_origins: Tensor
    """[m, 3] metres, where the rays of RayIoU start."""
    moving: Tensor
    """bool [X, Y, Z], see moving_region."""


@dataclass(frozen=True)
class ScoredKeyframe:
    """A keyframe whose ground truth is being read."""

    token: str
    number: int
    """Within its scene, from 0."""
    reading: Future[Occ3dLabels]
    """Read ahead, while the keyframe before is scored."""
    lidar: Tensor
    """float64 [n, 3] LIDAR_TOP of the scene's keyframes, global frame."""

    def truth(self, nusc: NuScenes, device: torch.device | str) -> KeyframeTruth:
        """Wait for the ground truth; raises DatasetError when it is missing or damaged."""
        sample = get_record(nusc, "sample", self.token)
        pose = global_from_ego(nusc, keyframe_reading(nusc, sample, REFERENCE_CHANNEL))
        origins = select_ray_origins(transform_points(invert_transform(pose), self.lidar))
        return KeyframeTruth(
            self.reading.result().to(device),
            origins.to(device),
            moving_region(nusc, self.token).to(device),
        )


def scored_keyframes(nusc: NuScenes, scenes: Sequence[str]) -> Iterator[ScoredKeyframe]:
    """Every keyframe, scene by scene; the truth of one is read while the one before is used.

    Raises:
        DatasetError: an unknown scene.
    """
    ahead: ScoredKeyframe | None = None
    with ThreadPoolExecutor(1) as reader:
        for scene in scenes:
            lidar = lidar_positions(nusc, scene)
            for number, token in enumerate(keyframe_tokens(nusc, scene)):
                labels = reader.submit(read_occ3d, occ3d_path(nusc.dataroot, scene, token))
                if ahead is not None:
                    yield ahead
                ahead = ScoredKeyframe(token, number, labels, lidar)
        if ahead is not None:
            yield ahead
