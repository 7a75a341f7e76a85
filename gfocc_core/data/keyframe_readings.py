"""Collect what every sensor of interest saw at every keyframe, while the tables stream by.

For nuscenes_index, which hands in the records and gets the index's arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from gfocc_core.data.index_file import IndexArrays, stays_inside
from gfocc_core.data.scenes import DatasetError
from gfocc_core.data.table_stream import CalibratedSensor, EgoPose, SampleData, Sensor

_NO_POSE = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
_POSE_FAULT = "needs finite numbers and a quaternion that is not zero"


class KeyframeReadings:
    """Rows are keyframes, columns sensors; column 0 is the reference sensor, the others cameras."""

    def __init__(
        self,
        tokens: Sequence[str],
        channels: Sequence[str],
        calibrations: Sequence[CalibratedSensor],
        sensors: Mapping[str, Sensor],
    ) -> None:
        self._tokens = tokens
        self._channels = channels
        self._row = {token: row for row, token in enumerate(tokens)}
        self._calibrations = calibrations
        self._calibration_row: dict[str, tuple[int, int | None]] = {}
        column = {channel: index for index, channel in enumerate(channels)}
        for row, calibration in enumerate(calibrations):
            sensor = sensors.get(calibration.sensor_token)
            if sensor is None:
                raise DatasetError(
                    f"calibrated_sensor '{calibration.token}' names sensor "
                    f"'{calibration.sensor_token}', which table sensor lacks"
                )
            self._calibration_row[calibration.token] = (row, column.get(sensor.channel))
        shape = (len(tokens), len(channels))
        self._files = np.full(shape, b"", dtype=object)
        self.stamps_us = np.zeros(shape, np.int64)
        self._sizes = np.zeros((*shape, 2), np.int32)
        self._calibration_of = np.zeros(shape, np.int32)
        self._poses = np.tile(np.array(_NO_POSE), (*shape, 1))
        self._pose_token = np.full(shape, None, dtype=object)
        self._slots: dict[str, list[tuple[int, int]]] = {}

    def add(self, data: SampleData) -> None:
        """Take one keyframe reading; the devkit too lets the last of several win."""
        if data.calibrated_sensor_token not in self._calibration_row:
            raise DatasetError(
                f"sample_data '{data.token}' names calibrated_sensor "
                f"'{data.calibrated_sensor_token}', which that table lacks"
            )
        calibration, column = self._calibration_row[data.calibrated_sensor_token]
        row = self._row.get(data.sample_token)
        if column is None or row is None:
            return
        if not stays_inside(data.filename):
            raise DatasetError(
                f"filename of sample_data '{data.token}' leaves the dataset's folder or is empty: "
                f"'{data.filename}'"
            )
        if data.timestamp < 0:
            raise DatasetError(
                f"timestamp of sample_data '{data.token}' must be microseconds, got {data.timestamp}"
            )
        if column > 0:
            height, width = data.height or 0, data.width or 0
            if min(height, width) < 1:
                raise DatasetError(
                    f"size of sample_data '{data.token}' ({self._channels[column]}) must be positive "
                    f"integers, got height {data.height}, width {data.width}"
                )
            self._sizes[row, column] = height, width
        self._files[row, column] = data.filename.encode()
        self.stamps_us[row, column] = data.timestamp
        self._calibration_of[row, column] = calibration
        self._pose_token[row, column] = data.ego_pose_token
        self._slots.setdefault(data.ego_pose_token, []).append((row, column))

    def add_pose(self, pose: EgoPose) -> None:
        for slot in self._slots.pop(pose.token, ()):
            if self._pose_token[slot] == pose.token:
                self._poses[slot] = (*pose.translation, *pose.rotation)

    def check_complete(self) -> None:
        """Every keyframe needs the reference sensor; cameras may be missing."""
        lacking = np.flatnonzero(self._files[:, 0] == b"")
        if lacking.size:
            raise DatasetError(
                f"sample '{self._tokens[lacking[0]]}' has no {self._channels[0]} keyframe reading"
                + (f", and {lacking.size - 1} more have none" if lacking.size > 1 else "")
            )

    def check_poses(self) -> None:
        if self._slots:
            token = next(iter(self._slots))
            raise DatasetError(f"table ego_pose has no record with token '{token}'")
        for slot in np.argwhere(~_possible(self._poses)):
            raise DatasetError(f"ego_pose '{self._pose_token[tuple(slot)]}' {_POSE_FAULT}")

    def to_arrays(self, starts: npt.NDArray[np.int64]) -> IndexArrays:
        used, renumbered = np.unique(self._calibration_of, return_inverse=True)
        calibration_of = renumbered.reshape(self._calibration_of.shape).astype(np.int32)
        kept = [self._calibrations[row] for row in used]
        poses = np.array([(*c.translation, *c.rotation) for c in kept], np.float64).reshape(-1, 7)
        for row in np.flatnonzero(~_possible(poses)):
            raise DatasetError(f"calibrated_sensor '{kept[row].token}' {_POSE_FAULT}")
        seen_by_camera = np.zeros(len(kept), bool)
        seen_by_camera[calibration_of[:, 1:][self._files[:, 1:] != b""]] = True
        intrinsics = np.tile(np.eye(3), (len(kept), 1, 1))
        for row in np.flatnonzero(seen_by_camera):
            intrinsics[row] = _intrinsics_of(kept[row])
        return IndexArrays(
            scene_starts=starts.astype(np.int64),
            tokens=np.array([token.encode() for token in self._tokens], np.bytes_),
            stamps_us=self.stamps_us[:, 0],
            poses=self._poses[:, 0],
            lidar_files=self._files[:, 0].astype(np.bytes_),
            lidar_calibrations=calibration_of[:, 0],
            camera_files=self._files[:, 1:].astype(np.bytes_),
            camera_stamps_us=self.stamps_us[:, 1:],
            camera_poses=self._poses[:, 1:],
            camera_sizes=self._sizes[:, 1:],
            camera_calibrations=calibration_of[:, 1:],
            calibration_poses=poses,
            calibration_intrinsics=intrinsics,
        )


def _possible(poses: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which poses [..., 7] are rigid transforms."""
    possible: npt.NDArray[np.bool_] = np.isfinite(poses).all(-1) & (poses[..., 3:] != 0).any(-1)
    return possible


def _intrinsics_of(calibration: CalibratedSensor) -> npt.NDArray[np.float64]:
    rows = calibration.camera_intrinsic
    if [len(row) for row in rows] == [3, 3, 3]:
        matrix = np.array(rows, np.float64)
        if np.isfinite(matrix).all() and (matrix.diagonal()[:2] > 0).all():
            return matrix
    raise DatasetError(
        f"camera_intrinsic of calibrated_sensor '{calibration.token}' must be 3 x 3 finite numbers "
        f"with positive focal lengths, got {rows}"
    )
