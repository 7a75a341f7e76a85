"""Where things lie in a recording, the folder of one drive of a robot of one's own.

    <recording>/calibration.yaml                  cameras, see recording_calibration
    <recording>/poses.csv or poses.tum            the vehicle's path, see recording_poses
    <recording>/images/<camera>/<stamp in ns>.jpg rectified images; .jpeg and .png too

The folder's name is the scene's name. docs/bring_your_own_data.md shows the whole way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gfocc_core.data.scenes import DatasetError

CALIBRATION_FILE = "calibration.yaml"
POSES_CSV, POSES_TUM = "poses.csv", "poses.tum"
IMAGE_FOLDER = "images"

SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""Names of recordings and cameras: they become parts of tokens and of file names."""
_IMAGE_NAME = re.compile(r"(\d{1,19})\.(?:jpe?g|png)", re.IGNORECASE)
_LAST_STAMP = 2**63 - 1


@dataclass(frozen=True)
class CameraImages:
    """The images of one camera, oldest first."""

    stamps_ns: npt.NDArray[np.int64]
    """int64 [N]"""
    files: tuple[Path, ...]


def find_recordings(dataroot: Path, names: Sequence[str] = ()) -> list[Path]:
    """Folders of recordings in a folder, by name.

    Args:
        dataroot: The folder that holds them.
        names: Those that are wanted; none given: every folder with a calibration.yaml.

    Raises:
        DatasetError: no such folder, none found, or a name that is not one of a recording there.
    """
    if not dataroot.is_dir():
        raise DatasetError(f"dataroot '{dataroot}' is not a folder")
    found = sorted(path.parent for path in dataroot.glob(f"*/{CALIBRATION_FILE}"))
    found = [folder for folder in found if not folder.name.startswith(".")]
    if not found:
        raise DatasetError(f"dataroot '{dataroot}' holds no recording (*/{CALIBRATION_FILE})")
    known = {folder.name: folder for folder in found}
    for name in names:
        if name not in known:
            raise DatasetError(
                f"recording '{name}' is not in dataroot '{dataroot}', which holds: "
                + ", ".join(known)
            )
    chosen = [known[name] for name in dict.fromkeys(names)] or found
    for folder in chosen:
        if not SAFE_NAME.fullmatch(folder.name):
            raise DatasetError(
                f"recording '{folder}' must be called by letters, digits, '.', '_' and '-'"
            )
    return chosen


def camera_images(recording: Path, camera: str) -> CameraImages:
    """The images of a camera; files whose name begins with a dot are not looked at.

    Raises:
        DatasetError: the camera's folder is missing, a file is not named by its stamp, or two have
            the same stamp.
    """
    folder = recording / IMAGE_FOLDER / camera
    if not folder.is_dir():
        raise DatasetError(f"folder '{folder}' is missing: images of camera '{camera}'")
    by_stamp: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        match = _IMAGE_NAME.fullmatch(path.name)
        if match is None or int(match[1]) > _LAST_STAMP:
            raise DatasetError(
                f"image '{path}' must be called by its stamp in nanoseconds and .jpg, .jpeg or .png"
            )
        other = by_stamp.setdefault(int(match[1]), path)
        if other is not path:
            raise DatasetError(f"images '{other}' and '{path}' have the same stamp")
    stamps = sorted(by_stamp)
    return CameraImages(np.array(stamps, np.int64), tuple(by_stamp[stamp] for stamp in stamps))
