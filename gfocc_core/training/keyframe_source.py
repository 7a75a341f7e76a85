"""What scoring asks of a dataset: its keyframes in order, as frames, and where things were.

A nuScenes-schema dataset answers from its tables, any other from its index; the ground truth lies
in both as Occ3D has it, `<dataroot>/gts/<scene>/<token>/labels.npz`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import torch
from torch import Tensor

from gfocc_core.data.frames import REFERENCE_CHANNEL, load_frame
from gfocc_core.data.index import SceneIndex
from gfocc_core.data.indexed_frames import load_indexed_frame
from gfocc_core.data.lidar_positions import lidar_positions
from gfocc_core.data.occ3d import occ3d_path
from gfocc_core.data.scenes import get_record, keyframe_tokens, open_nuscenes, scene_names
from gfocc_core.data.sensors import global_from_ego, keyframe_reading
from gfocc_core.data.splits import scene_splits
from gfocc_core.frame import Frame
from gfocc_core.geometry import transform_points
from gfocc_core.grid import OCC3D_GRID
from gfocc_core.training.moving_objects import moving_region

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

KeyframeDataset: TypeAlias = "NuScenes | SceneIndex"


class KeyframeSource(Protocol):
    """Raises DatasetError for unknown names and for what is missing or damaged."""

    def scenes(self) -> tuple[str, ...]:
        """Names of all scenes, in the dataset's order."""

    def splits(self) -> dict[str, tuple[str, ...]]:
        """Split name -> names of its scenes."""

    def tokens(self, scene: str) -> tuple[str, ...]:
        """Keyframes of a scene, oldest first."""

    def frame(self, token: str) -> Frame:
        """A keyframe with its images."""

    def truth_file(self, scene: str, token: str) -> Path:
        """Where its Occ3D labels lie."""

    def global_from_ego(self, token: str) -> Tensor:
        """float64 [4, 4] of its reference ego."""

    def ray_origins(self, scene: str) -> Tensor:
        """float64 [keyframes, 3] where RayIoU looks from, global frame."""

    def moving_region(self, token: str) -> Tensor:
        """bool [X, Y, Z] around what moves; all False where nothing is annotated."""


class NuscenesKeyframes:
    """The tables of a dataset in the nuScenes schema."""

    def __init__(self, nusc: NuScenes) -> None:
        self._nusc = nusc

    def scenes(self) -> tuple[str, ...]:
        return scene_names(self._nusc)

    def splits(self) -> dict[str, tuple[str, ...]]:
        return scene_splits(Path(self._nusc.table_root), self.scenes())

    def tokens(self, scene: str) -> tuple[str, ...]:
        return keyframe_tokens(self._nusc, scene)

    def frame(self, token: str) -> Frame:
        return load_frame(self._nusc, token)

    def truth_file(self, scene: str, token: str) -> Path:
        return occ3d_path(self._nusc.dataroot, scene, token)

    def global_from_ego(self, token: str) -> Tensor:
        sample = get_record(self._nusc, "sample", token)
        return global_from_ego(self._nusc, keyframe_reading(self._nusc, sample, REFERENCE_CHANNEL))

    def ray_origins(self, scene: str) -> Tensor:
        return lidar_positions(self._nusc, scene)

    def moving_region(self, token: str) -> Tensor:
        return moving_region(self._nusc, token)


class IndexedKeyframes:
    """An index; without lidar, RayIoU looks from the middle of the cameras. Nothing is annotated."""

    def __init__(self, index: SceneIndex) -> None:
        self._index = index

    def scenes(self) -> tuple[str, ...]:
        return self._index.scenes

    def splits(self) -> dict[str, tuple[str, ...]]:
        return dict(self._index.splits)

    def tokens(self, scene: str) -> tuple[str, ...]:
        positions = self._index.positions_of_scene(scene)
        return self._index.tokens[positions.start : positions.stop]

    def frame(self, token: str) -> Frame:
        return load_indexed_frame(self._index, self._index.position_of(token))

    def truth_file(self, scene: str, token: str) -> Path:
        return occ3d_path(self._index.dataroot, scene, token)

    def global_from_ego(self, token: str) -> Tensor:
        return self._index.global_from_ego[self._index.position_of(token)]

    def ray_origins(self, scene: str) -> Tensor:
        origins = []
        for position in self._index.positions_of_scene(scene):
            keyframe = self._index.keyframe(position)
            mount = keyframe.ego_from_lidar
            if mount is None:
                seen = keyframe.cameras.ego_at_cam_from_cam[keyframe.cameras.valid]
                origin = seen[:, :3, 3].mean(0)
            else:
                origin = mount[:3, 3]
            origins.append(transform_points(keyframe.global_from_ego, origin[None])[0])
        return torch.stack(origins)

    def moving_region(self, token: str) -> Tensor:
        return torch.zeros(OCC3D_GRID.shape, dtype=torch.bool)


def keyframe_source(dataset: KeyframeDataset) -> KeyframeSource:
    """The source that a dataset is."""
    return (
        IndexedKeyframes(dataset) if isinstance(dataset, SceneIndex) else NuscenesKeyframes(dataset)
    )


def add_dataset_options(parser: argparse.ArgumentParser) -> None:
    """The options that open_dataset reads."""
    parser.add_argument("--dataroot", type=Path, required=True, help="the dataset, with gts/")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--version", help="of the nuScenes schema, e.g. v1.0-trainval")
    which.add_argument("--index", type=Path, help="index of any dataset, such as one's recordings")


def open_dataset(arguments: argparse.Namespace) -> KeyframeDataset:
    """What the options name; DatasetError where it cannot be used."""
    if arguments.index is not None:
        return SceneIndex.load(arguments.index, arguments.dataroot)
    return open_nuscenes(arguments.dataroot, arguments.version)
