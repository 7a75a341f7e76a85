"""The voxel prior: what a voxel around the vehicle most often is, whatever the cameras show.

The baseline that any network has to beat: it knows where roads and buildings tend to be, and
nothing about this scene.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from gfocc_core.data.occ3d import Occ3dLabels, read_occ3d
from gfocc_core.data.scenes import DatasetError
from gfocc_core.grid import OCC3D_GRID, VoxelGrid
from gfocc_core.metrics.iou import NUM_IDS
from gfocc_core.taxonomy import FREE_ID
from gfocc_core.training.keyframe_source import KeyframeDataset, keyframe_source

Labels = npt.NDArray[np.uint8]


class VoxelPrior:
    """Counts labels per voxel where cameras see them."""

    def __init__(self, grid: VoxelGrid = OCC3D_GRID) -> None:
        self._shape = grid.shape
        self._counts = np.zeros((grid.num_voxels, NUM_IDS), np.int32)

    def add(self, truth: Occ3dLabels) -> None:
        """Count one keyframe."""
        seen = np.flatnonzero(truth.mask_camera.numpy())
        self._counts[seen, truth.semantics.numpy().ravel()[seen]] += 1

    def labels(self) -> Labels:
        """uint8 [X, Y, Z]: the most frequent id (the lowest of several), free where none was seen."""
        most_frequent = self._counts.argmax(1).astype(np.uint8)
        most_frequent[self._counts.sum(1) == 0] = FREE_ID
        return most_frequent.reshape(self._shape)


def voxel_prior(
    dataset: KeyframeDataset, scenes: Sequence[str], on_keyframe: Callable[[], None] = lambda: None
) -> Labels:
    """The prior of all keyframes of some scenes, uint8 [X, Y, Z].

    Raises:
        DatasetError: no scene at all or an unknown one, or ground truth is missing.
    """
    if not scenes:
        raise DatasetError("there is no scene to take the voxel prior from")
    prior, source = VoxelPrior(), keyframe_source(dataset)
    for scene in scenes:
        for token in source.tokens(scene):
            prior.add(read_occ3d(source.truth_file(scene, token)))
            on_keyframe()
    return prior.labels()
