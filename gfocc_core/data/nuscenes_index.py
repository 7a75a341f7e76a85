"""Make the index of a nuScenes-schema dataset in one pass over its tables.

For training/index_nuscenes.py and other programs that prepare a training; index reads the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from gfocc_core.data.fingerprint import take_fingerprint
from gfocc_core.data.frames import REFERENCE_CHANNEL, in_network_order
from gfocc_core.data.index_file import IndexArrays, IndexMeta
from gfocc_core.data.keyframe_readings import KeyframeReadings
from gfocc_core.data.scenes import DatasetError
from gfocc_core.data.splits import scene_splits
from gfocc_core.data.table_stream import (
    TABLES,
    CalibratedSensor,
    EgoPose,
    Sample,
    SampleData,
    Scene,
    Sensor,
    iter_records,
    table_file,
    table_folder,
)

OnProgress = Callable[[int, int], None]
RecordT = TypeVar("RecordT", bound=msgspec.Struct)


def build_index(
    dataroot: Path | str, version: str, on_progress: OnProgress = lambda done, total: None
) -> tuple[IndexMeta, IndexArrays]:
    """Index all keyframes of a dataset.

    Args:
        dataroot: Folder that holds the version's folder and `samples/`.
        version: Name of the folder with the tables, such as `v1.0-trainval`.
        on_progress: Called with the bytes of tables read so far and in all.

    Raises:
        DatasetError: no such dataroot or version; a table that is missing, damaged or does not
            fit the others; a file name that leaves the dataset's folder; impossible calibration.
    """
    folder = table_folder(dataroot, version)
    reader = _TableReader(folder, on_progress)
    channels = {sensor.token: sensor for sensor in reader.records(Sensor)}
    cameras = in_network_order(s.channel for s in channels.values() if s.modality == "camera")
    if not cameras:
        raise DatasetError(f"table '{folder / 'sensor.json'}' knows no camera")
    calibrations = list(reader.records(CalibratedSensor))
    scenes = list(reader.records(Scene))
    names = _names_of(scenes, folder)
    samples = {sample.token: sample for sample in reader.records(Sample)}
    chains = [_keyframes_of(scene, samples) for scene in scenes]
    tokens = [token for chain in chains for token in chain]
    readings = KeyframeReadings(tokens, (REFERENCE_CHANNEL, *cameras), calibrations, channels)
    for data in reader.records(SampleData):
        if data.is_key_frame:
            readings.add(data)
    readings.check_complete()
    for pose in reader.records(EgoPose):
        readings.add_pose(pose)
    readings.check_poses()
    starts = np.cumsum([0, *(len(chain) for chain in chains)])
    _check_time_order(readings.stamps_us[:, 0], starts, scenes)
    meta = IndexMeta(version, cameras, names, scene_splits(folder, names), take_fingerprint(folder))
    return meta, readings.to_arrays(starts)


@dataclass
class _TableReader:
    folder: Path
    on_progress: OnProgress

    def __post_init__(self) -> None:
        self._total = sum(table_file(self.folder, name).stat().st_size for name in TABLES)
        self._done = 0

    def records(self, kind: type[RecordT]) -> Iterator[RecordT]:
        return iter_records(self.folder, kind, self._count)

    def _count(self, read: int) -> None:
        self._done += read
        self.on_progress(self._done, self._total)


def _names_of(scenes: list[Scene], folder: Path) -> tuple[str, ...]:
    names = tuple(scene.name for scene in scenes)
    if not names:
        raise DatasetError(f"table '{folder / 'scene.json'}' holds no scene")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DatasetError(f"table '{folder / 'scene.json'}' holds scene '{twice}' twice")
    return names


def _keyframes_of(scene: Scene, samples: dict[str, Sample]) -> list[str]:
    tokens: dict[str, None] = {}
    token = scene.first_sample_token
    while token:
        if token in tokens:
            raise DatasetError(f"the samples of scene '{scene.name}' form a circle at '{token}'")
        if token not in samples:
            raise DatasetError(f"table sample has no '{token}', which scene '{scene.name}' needs")
        if samples[token].scene_token != scene.token:
            raise DatasetError(
                f"sample '{token}' follows in scene '{scene.name}' but belongs to another"
            )
        tokens[token] = None
        token = samples[token].next
    if not tokens:
        raise DatasetError(f"scene '{scene.name}' has no keyframe")
    return list(tokens)


def _check_time_order(
    stamps_us: npt.NDArray[np.int64], starts: npt.NDArray[np.int64], scenes: list[Scene]
) -> None:
    for scene, start, end in zip(scenes, starts[:-1], starts[1:], strict=True):
        if (np.diff(stamps_us[start:end]) <= 0).any():
            raise DatasetError(
                f"the keyframes of scene '{scene.name}' are not in the order of time"
            )
