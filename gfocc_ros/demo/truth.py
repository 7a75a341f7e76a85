"""A scene's ground truth by the stamps that its images, and so the node's outputs, carry."""

from __future__ import annotations

import functools
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from gfocc_core.data.frames import REFERENCE_CHANNEL, in_network_order
from gfocc_core.data.lidar_positions import lidar_positions
from gfocc_core.data.occ3d import Occ3dLabels, occ3d_path, read_occ3d
from gfocc_core.data.scenes import DatasetError, get_record, keyframe_tokens
from gfocc_core.data.sensors import Record, global_from_ego, keyframe_reading, stamp_ns_of
from gfocc_core.geometry import invert_transform, transform_points
from gfocc_core.metrics.ray_set import select_ray_origins

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes


@dataclass(frozen=True)
class SceneCameras:
    """A scene's cameras as the node's parameters name them."""

    names: tuple[str, ...]
    """In the order the network learned; cameras it does not know come last, by name."""
    reference: str
    """The one that fires nearest to the keyframe's stamp, whose ego frame the truth lies in."""


@dataclass(frozen=True)
class KeyframeTruth:
    """The truth for an output made at the stamp of one of a keyframe's images."""

    number: int
    """Of the keyframe in its scene, from 1."""
    labels: Occ3dLabels
    """In the ego frame at the stamp of LIDAR_TOP."""
    output_from_truth: Tensor
    """float64 [4, 4] from there into the ego frame at the output's stamp."""
    ray_origins: Tensor
    """[O, 3] in the frame of `labels`."""


class SceneTruth:
    """Finds the keyframe that an output belongs to; raises DatasetError for an unknown scene."""

    def __init__(self, nusc: NuScenes, scene: str) -> None:
        self._nusc, self._scene = nusc, scene
        self._tokens = keyframe_tokens(nusc, scene)
        self._readings: dict[int, tuple[int, Record, Record]] = {}
        for number, token in enumerate(self._tokens, 1):
            sample = get_record(nusc, "sample", token)
            for reading in _camera_readings(nusc, sample):
                self._readings[stamp_ns_of(reading)] = (number, sample, reading)

    def __len__(self) -> int:
        """Keyframes of the scene."""
        return len(self._tokens)

    def at(self, stamp_ns: int) -> KeyframeTruth | None:
        """The truth for an output of that stamp; None if no keyframe with labels has that image.

        Raises:
            DatasetError: the labels are damaged, or a keyframe of the scene has no LIDAR_TOP.
        """
        if stamp_ns not in self._readings:
            return None
        number, sample, reading = self._readings[stamp_ns]
        path = occ3d_path(self._nusc.dataroot, self._scene, sample["token"])
        if not path.is_file():
            return None
        reference = keyframe_reading(self._nusc, sample, REFERENCE_CHANNEL)
        global_from_truth = global_from_ego(self._nusc, reference)
        global_from_output = global_from_ego(self._nusc, reading)
        origins = transform_points(invert_transform(global_from_truth), self._lidar)
        return KeyframeTruth(
            number=number,
            labels=read_occ3d(path),
            output_from_truth=invert_transform(global_from_output) @ global_from_truth,
            ray_origins=select_ray_origins(origins),
        )

    @functools.cached_property
    def _lidar(self) -> Tensor:
        """Needed only where there is a truth: a rig without lidar can be driven, not scored."""
        return lidar_positions(self._nusc, self._scene)


def scene_cameras(nusc: NuScenes, scene: str) -> SceneCameras:
    """The cameras of a scene's keyframes.

    Raises:
        DatasetError: unknown scene, or no camera in it.
    """
    distances: dict[str, list[int]] = {}
    for token in keyframe_tokens(nusc, scene):
        sample = get_record(nusc, "sample", token)
        stamp_ns = sample["timestamp"] * 1000
        for reading in _camera_readings(nusc, sample):
            distance = abs(stamp_ns_of(reading) - stamp_ns)
            distances.setdefault(reading["channel"], []).append(distance)
    if not distances:
        raise DatasetError(f"scene '{scene}' has no camera image")
    nearest = min(distances, key=lambda channel: statistics.median(distances[channel]))
    names = tuple(channel.lower() for channel in in_network_order(distances))
    return SceneCameras(names, nearest.lower())


def _camera_readings(nusc: NuScenes, sample: Record) -> list[Record]:
    readings = (get_record(nusc, "sample_data", token) for token in sample["data"].values())
    return [reading for reading in readings if reading["sensor_modality"] == "camera"]
