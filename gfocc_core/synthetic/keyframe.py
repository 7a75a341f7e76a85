"""Make one keyframe: shoot, derive truth and labels, write its files and, last, its record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import simplejpeg

from gfocc_core.atomic_file import write_atomically
from gfocc_core.config import ImageConfig
from gfocc_core.data.label_store import OBJECT_SUFFIX, LabelStore
from gfocc_core.data.occ3d import occ3d_path
from gfocc_core.data.weak_labels import LabelGeometry, StoreHeader, WeakLabels
from gfocc_core.grid import OCC3D_GRID
from gfocc_core.synthetic.annotations import Sighting, annotate
from gfocc_core.synthetic.config import ScenePlan, SyntheticConfig
from gfocc_core.synthetic.keyframe_record import (
    KeyframeRecord,
    PoseRecord,
    ReadingRecord,
    read_record,
    write_record,
)
from gfocc_core.synthetic.label_noise import degrade, exact_labels
from gfocc_core.synthetic.layout import build_world
from gfocc_core.synthetic.map_mask import map_mask_png
from gfocc_core.synthetic.occupancy import OccupancyTruth
from gfocc_core.synthetic.renderer import SceneRenderer
from gfocc_core.synthetic.rig import CameraSpec, ego_from_sensor, intrinsics_of
from gfocc_core.synthetic.shots import CameraShot, LidarSweep
from gfocc_core.synthetic.visibility import DepthView, camera_mask, lidar_mask
from gfocc_core.taxonomy import CLASS_NAMES, NUM_PREDICTED_CLASSES

LIDAR_CHANNEL = "LIDAR_TOP"
PROGRESS_FOLDER = ".progress"
LABEL_FOLDER = "weak_labels"


def record_path(out: Path, scene: str, number: int) -> Path:
    """Where the record of a scene's keyframe lies."""
    return out / PROGRESS_FOLDER / scene / f"{number:05d}.json"


def map_file(scene: str) -> str:
    """Where the scene's map lies below the dataset's folder; keyframe 0 brings it along."""
    return f"maps/{scene}.png"


def is_finished(config: SyntheticConfig, plan: ScenePlan, number: int) -> bool:
    """Whether a keyframe is recorded and all its files are there; DatasetError: damaged record."""
    path = record_path(config.out, plan.name, number)
    return path.is_file() and read_record(path).is_whole(config.out)


def create_label_stores(config: SyntheticConfig) -> dict[str, LabelStore]:
    """The weak-label stores that the configuration asks for, in the images' own raster."""
    sizes = {camera.name: (camera.height, camera.width) for camera in config.resolved_rig().cameras}
    header = StoreHeader(
        models={"semantics": "synthetic", "depth": "synthetic"},
        vocabulary=CLASS_NAMES[: NUM_PREDICTED_CLASSES + 1],
        geometry=LabelGeometry.covering(
            sizes, ImageConfig(height=config.height, width=config.width)
        ),
    )
    return {
        name: LabelStore.create(config.out / LABEL_FOLDER / name, header)
        for name in config.label_stores
    }


class KeyframeMaker:
    """The keyframes of one scene, in any order; what the scene needs is built once."""

    def __init__(self, config: SyntheticConfig, plan: ScenePlan) -> None:
        self._config, self._plan = config, plan
        self._rig = config.resolved_rig()
        self._world = build_world(
            plan.name, plan.seed, config.duration_s, config.world, plan.palette
        )
        self._renderer = SceneRenderer(self._world)
        self._truth = OccupancyTruth(self._world)
        self._stores = create_label_stores(config)

    def make(self, number: int) -> None:
        """Write all of a keyframe; its record stands only when everything else does.

        Raises:
            OSError: from the file system, such as a full disk.
        """
        time = number * self._config.keyframe_interval
        token = self._config.token(self._plan.name, "sample", number)
        shots = {camera.name: self._shoot(camera, time) for camera in self._rig.cameras}
        sweep = self._renderer.sweep(self._rig.lidar, time)
        readings = [
            self._write_image(camera, shots[camera.name], time, is_key_frame=True)
            for camera in self._rig.cameras
        ]
        readings.append(self._write_sweep(sweep, time))
        if number + 1 < self._config.frames:
            readings.extend(self._write_images_between(time))
        files = [self._write_truth(token, shots, sweep, time), *self._write_labels(token, shots)]
        if number == 0:
            files.append(self._write_map())
        sightings = [
            Sighting(
                shots[camera.name].objects,
                intrinsics_of(camera),
                self._world_from_camera(camera, time),
                _stamp(camera, time),
            )
            for camera in self._rig.cameras
        ]
        record = KeyframeRecord(
            token=token,
            timestamp_us=self._microseconds(time),
            readings=tuple(readings),
            annotations=annotate(self._world, time, sightings, sweep),
            other_files=tuple(files),
        )
        write_record(record_path(self._config.out, self._plan.name, number), record)

    def _shoot(self, camera: CameraSpec, time: float) -> CameraShot:
        return self._renderer.shoot(camera, _stamp(camera, time))

    def _world_from_camera(self, camera: CameraSpec, time: float) -> npt.NDArray[np.float64]:
        return self._world.ego.pose_at(_stamp(camera, time)) @ ego_from_sensor(camera)

    def _microseconds(self, time: float) -> int:
        return self._plan.start_us + round(time * 1e6)

    def _write_images_between(self, time: float) -> list[ReadingRecord]:
        count = self._config.sweeps_per_keyframe
        step = self._config.keyframe_interval / (count + 1)
        return [
            self._write_image(camera, self._shoot(camera, moment), moment, is_key_frame=False)
            for moment in (time + step * (index + 1) for index in range(count))
            for camera in self._rig.cameras
        ]

    def _write_image(
        self, camera: CameraSpec, shot: CameraShot, time: float, *, is_key_frame: bool
    ) -> ReadingRecord:
        jpeg = simplejpeg.encode_jpeg(
            np.ascontiguousarray(shot.image), self._config.jpeg_quality, colorspace="RGB"
        )
        return self._write_reading(camera.name, _stamp(camera, time), "jpg", jpeg, is_key_frame)

    def _write_sweep(self, sweep: LidarSweep, time: float) -> ReadingRecord:
        points = np.ascontiguousarray(sweep.points, "<f4")
        return self._write_reading(LIDAR_CHANNEL, time, "pcd.bin", points.tobytes(), True)

    def _write_reading(
        self, channel: str, stamp: float, suffix: str, data: bytes, is_key_frame: bool
    ) -> ReadingRecord:
        microseconds = self._microseconds(stamp)
        folder = "samples" if is_key_frame else "sweeps"
        filename = f"{folder}/{channel}/{self._plan.name}__{channel}__{microseconds}.{suffix}"
        self._write(filename, lambda file: file.write(data))
        pose = PoseRecord.of(self._world.ego.pose_at(stamp))
        return ReadingRecord(channel, microseconds, filename, is_key_frame, pose)

    def _write_truth(
        self, token: str, shots: Mapping[str, CameraShot], sweep: LidarSweep, time: float
    ) -> str:
        ego_from_world = np.linalg.inv(self._world.ego.pose_at(time))
        semantics = self._truth.at(time, OCC3D_GRID)
        views = [
            DepthView(
                shots[camera.name].depth,
                intrinsics_of(camera),
                ego_from_world @ self._world_from_camera(camera, time),
            )
            for camera in self._rig.cameras
        ]
        arrays = {
            "semantics": semantics,
            "mask_lidar": lidar_mask(
                sweep, ego_from_sensor(self._rig.lidar), semantics, OCC3D_GRID
            ).astype(np.uint8),
            "mask_camera": camera_mask(views, semantics, OCC3D_GRID).astype(np.uint8),
        }
        path = occ3d_path(self._config.out, self._plan.name, token)
        filename = path.relative_to(self._config.out).as_posix()
        return self._write(filename, lambda file: np.savez_compressed(file, **arrays))

    def _write_map(self) -> str:
        png = map_mask_png(self._world.ground)
        return self._write(map_file(self._plan.name), lambda file: file.write(png))

    def _write_labels(self, token: str, shots: Mapping[str, CameraShot]) -> list[str]:
        for name, store in self._stores.items():
            store.write(token, self._labels(name, token, shots))
        return [f"{LABEL_FOLDER}/{name}/{token}{OBJECT_SUFFIX}" for name in self._stores]

    def _labels(self, store: str, token: str, shots: Mapping[str, CameraShot]) -> WeakLabels:
        if store == "exact":
            return exact_labels(shots)
        return degrade(shots, self._config.label_noise, self._config.seed, token)

    def _write(self, filename: str, write: Callable[[BinaryIO], object]) -> str:
        path = self._config.out / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, write)
        return filename


def _stamp(camera: CameraSpec, time: float) -> float:
    """When a camera fires for a keyframe at `time`, seconds of the world."""
    return time + camera.stamp_ms / 1000
