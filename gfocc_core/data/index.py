"""Look up keyframes, poses and files of a dataset without its tables: the index of a training.

`training/index_nuscenes.py` or `training/index_recording.py` writes the file (see nuscenes_index and
recording_index), SceneIndex reads it. Poses are
float64 `a_from_b` [4, 4] as in gfocc_core.geometry. A position is a keyframe's number: 0 to
len(index) - 1, scene after scene, oldest first within a scene.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gfocc_core.data.fingerprint import (
    Fingerprint,
    explain_difference,
    fingerprint_files,
    take_fingerprint,
)
from gfocc_core.data.index_file import IndexArrays, IndexMeta, read_index, stays_inside
from gfocc_core.data.scenes import DatasetError
from gfocc_core.data.table_stream import table_folder
from gfocc_core.geometry import transform_from

_PIECE = 1024
_MADE_BY = {"nuscenes": "training/index_nuscenes.py", "recordings": "training/index_recording.py"}


@dataclass(frozen=True)
class CameraReadings:
    """The cameras of P keyframes, stacked; rows of a camera that is not valid mean nothing."""

    valid: Tensor
    """bool [P, C]: the keyframe has a reading of this camera."""
    intrinsics: Tensor
    """float64 [P, C, 3, 3] in pixels of the full-size image."""
    ego_at_cam_from_cam: Tensor
    """float64 [P, C, 4, 4] mounting poses."""
    global_from_ego_at_cam: Tensor
    """float64 [P, C, 4, 4] ego poses at each camera's own stamp."""


@dataclass(frozen=True)
class Keyframe:
    """One keyframe; C cameras in the index's order."""

    token: str
    scene: str
    stamp_ns: int
    """Of the reference sensor (LIDAR_TOP; in a recording of one's own a camera)."""
    global_from_ego: Tensor
    """float64 [4, 4] at that stamp: the reference ego."""
    lidar_file: str | None
    """None where there is no lidar."""
    ego_from_lidar: Tensor | None
    """float64 [4, 4]"""
    camera_files: tuple[str | None, ...]
    """None where the keyframe lacks the camera."""
    camera_stamps_ns: tuple[int, ...]
    image_sizes: tuple[tuple[int, int], ...]
    """(height, width) in pixels that the tables give."""
    cameras: CameraReadings
    """Of this one keyframe, without the leading dimension."""


class SceneIndex:
    """The keyframes of one dataset version, with those tables' numbers; see load."""

    def __init__(self, dataroot: Path, meta: IndexMeta, arrays: IndexArrays) -> None:
        """Use load, or this for what build_index returned."""
        self.dataroot = dataroot
        self.version = meta.version
        self.cameras: tuple[str, ...] = meta.cameras
        self.scenes: tuple[str, ...] = meta.scenes
        self.splits: Mapping[str, tuple[str, ...]] = meta.splits
        self.tokens: tuple[str, ...] = tuple(token.decode() for token in arrays.tokens.tolist())
        self.global_from_ego: Tensor = _matrices(arrays.poses)
        """float64 [N, 4, 4] of the reference ego at every position."""
        self.image_sizes: npt.NDArray[np.int32] = arrays.camera_sizes
        """int32 [N, C, 2] (height, width); 0 where the keyframe lacks the camera."""
        self._arrays = arrays
        self._root = os.fspath(dataroot)
        self._starts: list[int] = arrays.scene_starts.tolist()
        self._scene_number = {name: number for number, name in enumerate(self.scenes)}
        self._position = {token: position for position, token in enumerate(self.tokens)}
        self._valid = torch.from_numpy(arrays.camera_files != b"")
        self._camera_poses = _matrices(arrays.camera_poses)
        self._calibration_poses = _matrices(arrays.calibration_poses)
        self._calibration_intrinsics = torch.from_numpy(arrays.calibration_intrinsics)
        self._calibration_of = torch.from_numpy(arrays.camera_calibrations.astype(np.int64))

    @classmethod
    def load(cls, path: Path | str, dataroot: Path | str) -> SceneIndex:
        """Read an index and make sure that it was made from this dataroot's tables or recordings.

        Raises:
            DatasetError: the index is missing, damaged, of another format, or does not match what
                lies below dataroot; no such dataroot.
        """
        path, root = Path(path), Path(dataroot)
        meta, arrays = read_index(path)
        difference = explain_difference(meta.fingerprint, _fingerprint_now(root, meta))
        if difference is not None:
            version = f" ({meta.version})" if meta.version else ""
            raise DatasetError(
                f"index '{path}' does not match dataroot '{root}'{version}: {difference}; "
                f"make it anew with {_MADE_BY[meta.source]}"
            )
        return cls(root, meta, arrays)

    def __len__(self) -> int:
        """Number of keyframes."""
        return len(self.tokens)

    def position_of(self, token: str) -> int:
        """Where a keyframe stands; DatasetError for an unknown token."""
        if token not in self._position:
            raise DatasetError(f"the index knows no keyframe '{token}'")
        return self._position[token]

    def positions_of_scene(self, scene: str) -> range:
        """The positions of a scene's keyframes; DatasetError that lists some that exist."""
        number = self._scene_number.get(scene)
        if number is None:
            raise DatasetError(
                f"scene '{scene}' is not in the index; it holds {len(self.scenes)}: "
                + ", ".join(self.scenes[:5])
                + (", ..." if len(self.scenes) > 5 else "")
            )
        return range(self._starts[number], self._starts[number + 1])

    def scene_at(self, position: int) -> str:
        """Name of the scene that a keyframe belongs to."""
        return self.scenes[bisect_right(self._starts, position) - 1]

    def scenes_of_split(self, split: str) -> tuple[str, ...]:
        """Names of a split's scenes; DatasetError where the dataset has none of them."""
        if split not in self.splits:
            raise DatasetError(
                f"split '{split}' has no scene in this dataset, which has: "
                + (", ".join(sorted(self.splits)) or "no split at all")
            )
        return self.splits[split]

    def cameras_at(self, positions: Sequence[int]) -> CameraReadings:
        """Calibration and poses of all cameras at some keyframes, in their order."""
        rows = torch.as_tensor(positions, dtype=torch.int64)
        calibration = self._calibration_of[rows]
        return CameraReadings(
            valid=self._valid[rows],
            intrinsics=self._calibration_intrinsics[calibration],
            ego_at_cam_from_cam=self._calibration_poses[calibration],
            global_from_ego_at_cam=self._camera_poses[rows],
        )

    def image_file(self, position: int, camera: int) -> str | None:
        """Path of one image, None where the keyframe lacks the camera.

        Raises:
            DatasetError: the index's file name leaves the dataroot.
        """
        name: bytes = self._arrays.camera_files[position, camera]
        return self._path(name) if name else None

    def keyframe(self, position: int) -> Keyframe:
        """All that the index knows about one keyframe."""
        arrays, found = self._arrays, self.cameras_at([position])
        lidar: bytes = arrays.lidar_files[position]
        mount = int(arrays.lidar_calibrations[position])
        return Keyframe(
            token=self.tokens[position],
            scene=self.scene_at(position),
            stamp_ns=int(arrays.stamps_us[position]) * 1000,
            global_from_ego=self.global_from_ego[position],
            lidar_file=self._path(lidar) if lidar else None,
            ego_from_lidar=self._calibration_poses[mount] if lidar else None,
            camera_files=tuple(
                self.image_file(position, camera) for camera in range(len(self.cameras))
            ),
            camera_stamps_ns=tuple(
                stamp * 1000 for stamp in arrays.camera_stamps_us[position].tolist()
            ),
            image_sizes=tuple(
                (height, width) for height, width in arrays.camera_sizes[position].tolist()
            ),
            cameras=CameraReadings(
                valid=found.valid[0],
                intrinsics=found.intrinsics[0],
                ego_at_cam_from_cam=found.ego_at_cam_from_cam[0],
                global_from_ego_at_cam=found.global_from_ego_at_cam[0],
            ),
        )

    def _path(self, name: bytes) -> str:
        filename = name.decode()
        if not stays_inside(filename):
            raise DatasetError(f"the index holds a file outside the dataset's folder: '{filename}'")
        return f"{self._root}{os.sep}{filename}"


def _fingerprint_now(root: Path, meta: IndexMeta) -> Fingerprint:
    """Of what lies below the dataroot today."""
    if meta.source == "nuscenes":
        return take_fingerprint(table_folder(root, meta.version))
    if not root.is_dir():
        raise DatasetError(f"dataroot '{root}' is not a folder")
    for name in meta.fingerprint:
        if not stays_inside(name):
            raise DatasetError(f"the index holds a file outside the dataset's folder: '{name}'")
    return fingerprint_files(root, [p for n in meta.fingerprint if (p := root / n).is_file()])


def _matrices(poses: npt.NDArray[np.float64]) -> Tensor:
    """float64 [..., 7] translation and quaternion wxyz -> [..., 4, 4]."""
    rows = torch.from_numpy(np.ascontiguousarray(poses)).reshape(-1, 7)
    matrices = torch.empty(len(rows), 4, 4, dtype=torch.float64)
    # Small pieces stay in the cache and start no threads: several times faster, more so on a busy
    # machine.
    for piece, result in zip(torch.split(rows, _PIECE), torch.split(matrices, _PIECE), strict=True):
        result.copy_(transform_from(piece[:, :3], piece[:, 3:]))
    return matrices.reshape(*poses.shape[:-1], 4, 4)
