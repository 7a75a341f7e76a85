"""The index of a dataset as arrays, and the one compact file that holds them.

Written by nuscenes_index and recording_index, read by index. Numbers stand as the tables have them: poses are
[..., 7] float64 (translation x y z in metres, quaternion wxyz), stamps int64 microseconds.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from gfocc_core.atomic_file import write_atomically
from gfocc_core.data.scenes import DatasetError

FORMAT = "gfocc-index"
FORMAT_VERSION = 1
INDEX_COMMANDS = "training/index_nuscenes.py or training/index_recording.py"
# What numpy raises on a damaged archive or on a file of another kind.
_DAMAGE = (
    *(OSError, ValueError, KeyError, EOFError, TypeError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)

Array = npt.NDArray[Any]


class IndexMeta(msgspec.Struct, frozen=True):
    """What the index says about the dataset as a whole."""

    version: str
    """The dataset's version, the name of its folder of tables; empty for recordings."""
    cameras: tuple[str, ...]
    scenes: tuple[str, ...]
    splits: dict[str, tuple[str, ...]]
    """Split name -> names of its scenes."""
    fingerprint: dict[str, tuple[int, str]]
    source: Literal["nuscenes", "recordings"] = "nuscenes"
    """What the dataroot holds: a dataset in the nuScenes schema, or recordings of one's own."""
    format: str = FORMAT
    format_version: int = FORMAT_VERSION


@dataclass(frozen=True)
class IndexArrays:
    """N keyframes, scene after scene and oldest first, of C cameras; K calibrations of sensors."""

    scene_starts: Array
    """int64 [scenes + 1]; keyframes of scene i: scene_starts[i] to scene_starts[i + 1] - 1."""
    tokens: Array
    """bytes [N]"""
    stamps_us: Array
    """int64 [N] of the reference sensor."""
    poses: Array
    """float64 [N, 7] global_from_ego at the reference sensor's stamp."""
    lidar_files: Array
    """bytes [N], relative to the dataroot; empty where there is no lidar."""
    lidar_calibrations: Array
    """int32 [N]"""
    camera_files: Array
    """bytes [N, C], relative to the dataroot; empty where the keyframe lacks the camera."""
    camera_stamps_us: Array
    """int64 [N, C]"""
    camera_poses: Array
    """float64 [N, C, 7] global_from_ego at the camera's stamp."""
    camera_sizes: Array
    """int32 [N, C, 2] (height, width) in pixels; 0 where the keyframe lacks the camera."""
    camera_calibrations: Array
    """int32 [N, C]"""
    calibration_poses: Array
    """float64 [K, 7] ego_from_sensor."""
    calibration_intrinsics: Array
    """float64 [K, 3, 3] in pixels of the full-size image; identity where there is no camera."""


def write_index(path: Path, meta: IndexMeta, arrays: IndexArrays) -> None:
    """Write the file, whole or not at all, and the folders above it; OSError."""
    content = {f.name: getattr(arrays, f.name) for f in fields(arrays)}
    content["meta"] = np.frombuffer(msgspec.json.encode(meta), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: np.savez_compressed(file, **content))


def read_index(path: Path) -> tuple[IndexMeta, IndexArrays]:
    """Read a file of write_index.

    Raises:
        DatasetError: it is missing, damaged, no index, or of another format version.
    """
    if not path.is_file():
        raise DatasetError(f"index '{path}' is missing; {INDEX_COMMANDS} makes it")
    try:
        with np.load(path, allow_pickle=False) as archive:
            meta_bytes = archive["meta"].tobytes()
            _check_format(path, msgspec.json.decode(meta_bytes, type=dict[str, Any]))
            meta = msgspec.json.decode(meta_bytes, type=IndexMeta)
            arrays = IndexArrays(**{f.name: archive[f.name] for f in fields(IndexArrays)})
            _check_shapes(meta, arrays)
    except DatasetError:
        raise
    except (*_DAMAGE, msgspec.MsgspecError) as error:
        raise DatasetError(f"index '{path}' is damaged or no index: {error}") from error
    return meta, arrays


def _check_format(path: Path, found: Mapping[str, Any]) -> None:
    if found.get("format") != FORMAT or found.get("format_version") != FORMAT_VERSION:
        raise DatasetError(
            f"index '{path}' is of format {found.get('format')!r} version "
            f"{found.get('format_version')!r}, this program reads {FORMAT!r} version "
            f"{FORMAT_VERSION}; make it anew with {INDEX_COMMANDS}"
        )


def _check_shapes(meta: IndexMeta, arrays: IndexArrays) -> None:
    count, cameras = len(arrays.tokens), len(meta.cameras)
    known = len(arrays.calibration_poses)
    expected = {
        "scene_starts": (len(meta.scenes) + 1,),
        "tokens": (count,),
        "stamps_us": (count,),
        "poses": (count, 7),
        "lidar_files": (count,),
        "lidar_calibrations": (count,),
        "camera_files": (count, cameras),
        "camera_stamps_us": (count, cameras),
        "camera_poses": (count, cameras, 7),
        "camera_sizes": (count, cameras, 2),
        "camera_calibrations": (count, cameras),
        "calibration_poses": (known, 7),
        "calibration_intrinsics": (known, 3, 3),
    }
    for name, shape in expected.items():
        found = getattr(arrays, name).shape
        if found != shape:
            raise ValueError(f"{name} must be {list(shape)}, got {list(found)}")
    if int(arrays.scene_starts[-1]) != count:
        raise ValueError(f"the scenes hold {arrays.scene_starts[-1]} keyframes of {count}")
    for name in ("lidar_calibrations", "camera_calibrations"):
        if getattr(arrays, name).size and not 0 <= getattr(arrays, name).max() < known:
            raise ValueError(f"{name} points outside the {known} calibrations")


def stays_inside(filename: str) -> bool:
    """Whether a file name of the tables is relative and never climbs out of the dataroot."""
    parts = filename.replace("\\", "/").split("/")
    return bool(filename) and parts[0] != "" and ".." not in parts and ":" not in parts[0]
