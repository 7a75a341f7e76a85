"""Make the index of a robot's own recordings: the same file that a nuScenes-schema dataset gets.

For training/index_recording.py; recording_layout says what a recording is. A scene is a recording,
or a stretch of one without a pause; a keyframe's token is `<recording>-<stamp in ns>`. There is no
lidar: the reference camera's stamp and the vehicle's pose at it are the keyframe's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gfocc_core.data.fingerprint import fingerprint_files
from gfocc_core.data.index_file import IndexArrays, IndexMeta
from gfocc_core.data.recording_calibration import RecordedCamera, read_calibration
from gfocc_core.data.recording_keyframes import KeyframeRules
from gfocc_core.data.recording_layout import (
    CALIBRATION_FILE,
    POSES_CSV,
    POSES_TUM,
    find_recordings,
)
from gfocc_core.data.recording_scenes import RecordingReport, Stretch, cut_recording
from gfocc_core.data.scenes import DatasetError

TRAIN, VAL = "train", "val"


def build_recording_index(
    dataroot: Path, recordings: Sequence[str], val: Sequence[str], rules: KeyframeRules
) -> tuple[IndexMeta, IndexArrays, RecordingReport]:
    """Index recordings that have the same cameras.

    Args:
        dataroot: The folder that holds the recordings; file names in the index begin there.
        recordings: Names of those to index; none: all.
        val: Names of those that make the split "val"; the others make "train".
        rules: How keyframes are chosen.

    Raises:
        DatasetError: what cannot be used, by file and line or field; recordings that differ in
            their cameras; one that gives no keyframes; a name in val that is not indexed.
    """
    folders = find_recordings(dataroot, recordings)
    unknown = set(val) - {folder.name for folder in folders}
    if unknown:
        raise DatasetError(f"val names '{sorted(unknown)[0]}', which is not among the recordings")
    report = RecordingReport()
    rigs = [read_calibration(folder / CALIBRATION_FILE) for folder in folders]
    for folder, rig in zip(folders, rigs, strict=True):
        _check_same_cameras(folder, rig, folders[0], rigs[0])
        report.remarks += _remarks(folder, rig)
    stretches = [
        stretch
        for folder, rig in zip(folders, rigs, strict=True)
        for stretch in cut_recording(dataroot, folder, rig, rules, report)
    ]
    scenes = [stretch.scene for stretch in stretches]
    twice = next((scene for scene in scenes if scenes.count(scene) > 1), None)
    if twice is not None:
        raise DatasetError(
            f"two scenes would be called '{twice}': a recording of that name, and a stretch of "
            "another one that has pauses"
        )
    sources = [
        file
        for folder in folders
        for name in (CALIBRATION_FILE, POSES_CSV, POSES_TUM)
        if (file := folder / name).is_file()
    ]
    meta = IndexMeta(
        version="",
        cameras=tuple(camera.name for camera in rigs[0]),
        scenes=tuple(scenes),
        splits=_splits(stretches, val),
        fingerprint=fingerprint_files(dataroot, sources),
        source="recordings",
    )
    names = [folder.name for folder in folders]
    return meta, _arrays(stretches, names, rigs), report


def _check_same_cameras(
    folder: Path,
    rig: Sequence[RecordedCamera],
    first: Path,
    expected: Sequence[RecordedCamera],
) -> None:
    found = [(camera.name, camera.width, camera.height) for camera in rig]
    wanted = [(camera.name, camera.width, camera.height) for camera in expected]
    if found != wanted:
        listed = (
            ", ".join(f"{name} {width}x{height}" for name, width, height in cameras)
            for cameras in (found, wanted)
        )
        raise DatasetError(
            f"calibration '{folder / CALIBRATION_FILE}' has cameras {next(listed)}, that of "
            f"'{first.name}' has {next(listed)}: index together what has the same cameras"
        )


def _remarks(folder: Path, rig: Sequence[RecordedCamera]) -> list[str]:
    return [
        f"camera '{camera.name}' of '{folder.name}' looks almost straight up or down: "
        "vehicle_from_camera must be the pose of its optical frame (z forward)"
        for camera in rig
        if camera.looks_steeply
    ]


def _splits(stretches: Sequence[Stretch], val: Sequence[str]) -> dict[str, tuple[str, ...]]:
    splits = {
        name: tuple(s.scene for s in stretches if (s.recording in val) == (name == VAL))
        for name in (TRAIN, VAL)
    }
    return {name: scenes for name, scenes in splits.items() if scenes}


def _arrays(
    stretches: Sequence[Stretch],
    names: Sequence[str],
    rigs: Sequence[Sequence[RecordedCamera]],
) -> IndexArrays:
    files = np.array([row for s in stretches for row in s.files], np.bytes_)
    there = files != b""
    cameras = len(rigs[0])
    recording = np.concatenate(
        [np.full(len(s.stamps_ns), names.index(s.recording)) for s in stretches]
    )
    sizes = np.array([camera.image_size for camera in rigs[0]], np.int32)
    stamps_ns = np.concatenate([s.stamps_ns for s in stretches])
    tokens = [f"{names[r]}-{stamp}" for r, stamp in zip(recording, stamps_ns, strict=True)]
    calibrations = recording[:, None] * cameras + np.arange(cameras)
    camera_poses = np.concatenate([s.camera_poses for s in stretches])
    camera_poses[~there] = (0, 0, 0, 1, 0, 0, 0)
    camera_stamps = np.concatenate([s.camera_stamps_ns for s in stretches]) // 1000
    return IndexArrays(
        scene_starts=np.cumsum([0, *(len(s.stamps_ns) for s in stretches)]).astype(np.int64),
        tokens=np.array([token.encode() for token in tokens], np.bytes_),
        stamps_us=stamps_ns // 1000,
        poses=np.concatenate([s.poses for s in stretches]),
        lidar_files=np.full(len(tokens), b"", np.bytes_),
        lidar_calibrations=np.zeros(len(tokens), np.int32),
        camera_files=files,
        camera_stamps_us=np.where(there, camera_stamps, 0),
        camera_poses=camera_poses,
        camera_sizes=np.where(there[..., None], sizes, 0).astype(np.int32),
        camera_calibrations=np.where(there, calibrations, 0).astype(np.int32),
        calibration_poses=np.stack([camera.pose for rig in rigs for camera in rig]),
        calibration_intrinsics=np.stack([camera.matrix for rig in rigs for camera in rig]),
    )
