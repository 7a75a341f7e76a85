"""Cut a recording into scenes: keyframes with the images and the poses of all cameras.

For recording_index. A scene is a recording, or a stretch of one without a pause.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from gfocc_core.data.recording_calibration import RecordedCamera
from gfocc_core.data.recording_keyframes import KeyframeRules, choose_keyframes, nearest_images
from gfocc_core.data.recording_layout import CALIBRATION_FILE, CameraImages, camera_images
from gfocc_core.data.recording_poses import PosePath, read_poses
from gfocc_core.data.scenes import DatasetError

_SHORTEST_STRETCH = 2


@dataclass
class RecordingReport:
    """What became of the images, and what a person should know."""

    skipped: Counter[str] = field(default_factory=Counter)
    """Images by reason."""
    missing: Counter[str] = field(default_factory=Counter)
    """Keyframes without this camera, by its name."""
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Stretch:
    """The K keyframes of one scene, C cameras; what a missing camera has means nothing."""

    scene: str
    recording: str
    """Name of the recording that it is a part of."""
    stamps_ns: npt.NDArray[np.int64]
    """int64 [K] of the reference camera."""
    poses: npt.NDArray[np.float64]
    """float64 [K, 7] fixed_from_vehicle at these stamps."""
    files: list[list[str]]
    """[K][C] relative to the dataroot; empty where the keyframe lacks the camera."""
    camera_stamps_ns: npt.NDArray[np.int64]
    """int64 [K, C]"""
    camera_poses: npt.NDArray[np.float64]
    """float64 [K, C, 7] fixed_from_vehicle at each camera's stamp."""


def cut_recording(
    dataroot: Path,
    folder: Path,
    rig: Sequence[RecordedCamera],
    rules: KeyframeRules,
    report: RecordingReport,
) -> list[Stretch]:
    """The scenes of a recording.

    Args:
        dataroot: What file names begin below.
        folder: The recording.
        rig: Its cameras.
        rules: How keyframes are chosen.
        report: Filled.

    Raises:
        DatasetError: an image or a pose cannot be used, or there are no keyframes.
    """
    path = read_poses(folder)
    cameras = [_posed_images(folder, camera, path, rules, report) for camera in rig]
    images = [found for found, _ in cameras]
    names = [camera.name for camera in rig]
    name = rules.reference_camera or names[0]
    if name not in names:
        raise DatasetError(f"reference camera '{name}' is not one of {', '.join(names)}")
    reference = images[names.index(name)].stamps_ns
    stretches = choose_keyframes(reference, rules.rate_hz)
    kept = [rows for rows in stretches if len(rows) >= _SHORTEST_STRETCH]
    report.skipped["alone between two pauses"] += len(stretches) - len(kept)
    if not kept:
        raise DatasetError(
            f"recording '{folder}' gives no two keyframes {1 / rules.rate_hz:g} s apart: its "
            f"reference camera '{name}' has {len(reference)} images with a pose"
        )
    found = []
    for count, rows in enumerate(kept, 1):
        stamps = reference[rows]
        picked = np.stack([nearest_images(i.stamps_ns, stamps, rules.slop_s) for i in images], 1)
        for camera, column in zip(rig, picked.T, strict=True):
            report.missing[camera.name] += int((column < 0).sum())
        stretch = Stretch(
            folder.name if len(kept) == 1 else f"{folder.name}-{count}",
            folder.name,
            stamps,
            path.at(stamps, rules.longest_pose_gap_s)[0],
            [
                [
                    i.files[n].relative_to(dataroot).as_posix() if n >= 0 else ""
                    for i, n in zip(images, row, strict=True)
                ]
                for row in picked.tolist()
            ],
            np.stack([_take(i.stamps_ns, n) for i, n in zip(images, picked.T, strict=True)], 1),
            np.stack([_take(p, n) for (_, p), n in zip(cameras, picked.T, strict=True)], 1),
        )
        _check_images(dataroot, rig, stretch)
        found.append(stretch)
    return found


def _posed_images(
    folder: Path,
    camera: RecordedCamera,
    path: PosePath,
    rules: KeyframeRules,
    report: RecordingReport,
) -> tuple[CameraImages, npt.NDArray[np.float64]]:
    """The images of a camera whose pose is known, and these poses [N, 7]."""
    images = camera_images(folder, camera.name)
    poses, known = path.at(images.stamps_ns, rules.longest_pose_gap_s)
    outside = (images.stamps_ns < path.stamps_ns[0]) | (images.stamps_ns > path.stamps_ns[-1])
    report.skipped["before the first pose or after the last"] += int(outside.sum())
    report.skipped["in a gap of the poses"] += int((~known & ~outside).sum())
    files = tuple(images.files[row] for row in np.flatnonzero(known))
    return CameraImages(images.stamps_ns[known], files), poses[known]


def _take(rows: npt.NDArray[Any], numbers: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Rows by number; what -1 gives means nothing."""
    if not len(rows):
        return np.zeros((len(numbers), *rows.shape[1:]), rows.dtype)
    return rows[numbers]


def _check_images(dataroot: Path, rig: Sequence[RecordedCamera], stretch: Stretch) -> None:
    for row in stretch.files:
        for camera, file in zip(rig, row, strict=True):
            if not file:
                continue
            path = dataroot / file
            try:
                with Image.open(path, formats=["JPEG", "PNG"]) as image:
                    width, height = image.size
            except UnidentifiedImageError:
                raise DatasetError(f"image '{path}' is neither a JPEG nor a PNG") from None
            except OSError as error:
                raise DatasetError(f"image '{path}' cannot be read: {error}") from error
            if (height, width) != camera.image_size:
                raise DatasetError(
                    f"image '{path}' is {width}x{height}, but {CALIBRATION_FILE} says "
                    f"{camera.width}x{camera.height}"
                )
