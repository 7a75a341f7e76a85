"""The keyframes of some scenes in the order they were driven, with what their predictions are
compared with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from gfocc_core.data.occ3d import Occ3dLabels, read_occ3d
from gfocc_core.geometry import invert_transform, transform_points
from gfocc_core.metrics.ray_set import select_ray_origins
from gfocc_core.training.keyframe_source import KeyframeDataset, keyframe_source


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
    origins: Tensor
    """float64 [n, 3] where RayIoU may look from in this scene, global frame."""

    def truth(self, dataset: KeyframeDataset, device: torch.device | str) -> KeyframeTruth:
        """Wait for the ground truth; raises DatasetError when it is missing or damaged."""
        source = keyframe_source(dataset)
        ego_from_global = invert_transform(source.global_from_ego(self.token))
        origins = select_ray_origins(transform_points(ego_from_global, self.origins))
        return KeyframeTruth(
            self.reading.result().to(device),
            origins.to(device),
            source.moving_region(self.token).to(device),
        )


def scored_keyframes(dataset: KeyframeDataset, scenes: Sequence[str]) -> Iterator[ScoredKeyframe]:
    """Every keyframe, scene by scene; the truth of one is read while the one before is used.

    Raises:
        DatasetError: an unknown scene.
    """
    source = keyframe_source(dataset)
    ahead: ScoredKeyframe | None = None
    with ThreadPoolExecutor(1) as reader:
        for scene in scenes:
            origins = source.ray_origins(scene)
            for number, token in enumerate(source.tokens(scene)):
                labels = reader.submit(read_occ3d, source.truth_file(scene, token))
                if ahead is not None:
                    yield ahead
                ahead = ScoredKeyframe(token, number, labels, origins)
        if ahead is not None:
            yield ahead
