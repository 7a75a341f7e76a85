"""What nuScenes records say about a sensor: when it fired, where it was, what it saw.

A `sample_data` record is one reading of one sensor. Its poses come as float64 `a_from_b`
transforms; frames and units as in `gfocc_core.geometry`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gfocc_core.data.scenes import DatasetError, get_record, keyframe_tokens
from gfocc_core.geometry import transform_from

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

Record = Mapping[str, Any]


def scene_readings(nusc: NuScenes, scene_name: str) -> list[Record]:
    """All `sample_data` of a scene, keyframes and sweeps of every sensor, oldest first.

    Readings of one stamp are in the order of their channels' names. Unknown scene: DatasetError.
    """
    samples = set(keyframe_tokens(nusc, scene_name))
    readings = [record for record in nusc.sample_data if record["sample_token"] in samples]
    return sorted(readings, key=lambda record: (stamp_ns_of(record), record["channel"]))


def keyframe_reading(nusc: NuScenes, sample: Record, channel: str) -> Record:
    """The `sample_data` record of one sensor in a keyframe; DatasetError where there is none."""
    if channel not in sample["data"]:
        raise DatasetError(
            f"sample '{sample['token']}' has no {channel}; it has: "
            + (", ".join(sorted(sample["data"])) or "no sensor at all")
        )
    return get_record(nusc, "sample_data", sample["data"][channel])


def stamp_ns_of(reading: Record) -> int:
    """When the sensor fired, in nanoseconds (nuScenes keeps microseconds)."""
    microseconds = reading.get("timestamp")
    if not isinstance(microseconds, int) or microseconds < 0:
        raise DatasetError(
            f"timestamp of sample_data '{reading['token']}' must be microseconds, "
            f"got {microseconds!r}"
        )
    return microseconds * 1000


def global_from_ego(nusc: NuScenes, reading: Record) -> Tensor:
    """Ego pose at the reading's stamp: float64 [4, 4]."""
    return _transform_of("ego_pose", get_record(nusc, "ego_pose", reading["ego_pose_token"]))


def ego_from_sensor(nusc: NuScenes, reading: Record) -> Tensor:
    """Mounting pose of the reading's sensor on the vehicle: float64 [4, 4]."""
    return _transform_of("calibrated_sensor", calibration_of(nusc, reading))


def calibration_of(nusc: NuScenes, reading: Record) -> Record:
    """The `calibrated_sensor` record a reading was taken with."""
    return get_record(nusc, "calibrated_sensor", reading["calibrated_sensor_token"])


def camera_intrinsics(nusc: NuScenes, reading: Record) -> Tensor:
    """Pinhole matrix of the reading's camera in pixels: float64 [3, 3]; its focal lengths are > 0."""
    calibration = calibration_of(nusc, reading)
    found = calibration.get("camera_intrinsic")
    matrix = _numbers(found, (3, 3))
    if matrix is None or not bool((matrix.diagonal()[:2] > 0).all()):
        raise DatasetError(
            f"camera_intrinsic of calibrated_sensor '{calibration['token']}' ({reading['channel']}) "
            f"must be 3 x 3 finite numbers with positive focal lengths, got {found}"
        )
    return matrix


def image_size_of(reading: Record) -> tuple[int, int]:
    """(height, width) in pixels that the tables give for a camera's reading."""
    height, width = reading.get("height"), reading.get("width")
    if not isinstance(height, int) or not isinstance(width, int) or min(height, width) < 1:
        raise DatasetError(
            f"size of sample_data '{reading['token']}' ({reading['channel']}) must be positive "
            f"integers, got height {height!r}, width {width!r}"
        )
    return height, width


def file_of(nusc: NuScenes, reading: Record) -> Path:
    """Where the reading's file should lie."""
    return Path(nusc.dataroot) / str(reading["filename"])


def read_file(nusc: NuScenes, reading: Record) -> bytes:
    """The reading's file, byte for byte; DatasetError names a file that cannot be read."""
    path = file_of(nusc, reading)
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(
            f"file '{path}' of sample_data '{reading['token']}' cannot be read: {error.strerror}"
        ) from error


def _transform_of(table: str, record: Record) -> Tensor:
    translation = _numbers(record.get("translation"), (3,))
    rotation = _numbers(record.get("rotation"), (4,))
    if translation is None or rotation is None or not bool(rotation.norm() > 0):
        raise DatasetError(
            f"{table} '{record['token']}' needs a translation of 3 and a quaternion of 4 finite "
            f"numbers, got {record.get('translation')} and {record.get('rotation')}"
        )
    return transform_from(translation, rotation)


def _numbers(values: object, shape: tuple[int, ...]) -> Tensor | None:
    try:
        tensor = torch.tensor(values, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        return None
    if tuple(tensor.shape) != shape or not bool(torch.isfinite(tensor).all()):
        return None
    return tensor
