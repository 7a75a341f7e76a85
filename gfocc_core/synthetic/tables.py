"""The thirteen tables of nuScenes' schema, made from the records of all finished keyframes.

They are written into a folder of their own that takes its name only when all of them are there.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from gfocc_core.atomic_file import PARTIAL_SUFFIX, write_atomically
from gfocc_core.data.scenes import TABLES
from gfocc_core.data.splits import SPLITS_FILE
from gfocc_core.synthetic import VERSION
from gfocc_core.synthetic.config import ScenePlan, SyntheticConfig
from gfocc_core.synthetic.keyframe import LIDAR_CHANNEL, map_file
from gfocc_core.synthetic.keyframe_record import KeyframeRecord, ReadingRecord
from gfocc_core.synthetic.nuscenes_vocabulary import ATTRIBUTES, CATEGORIES, VISIBILITY_LEVELS
from gfocc_core.synthetic.rig import CameraSpec, LidarSpec, intrinsics_of

Record = dict[str, Any]


def write_tables(config: SyntheticConfig, records: Mapping[str, Sequence[KeyframeRecord]]) -> Path:
    """Write the tables, replacing older ones.

    Args:
        config: The dataset's.
        records: Scene name -> its keyframes, oldest first; every scene of the configuration.

    Returns:
        The folder of tables.
    """
    builder = _TableBuilder(config)
    for plan in config.scene_plans():
        builder.add_scene(plan, records[plan.name])
    folder = config.out / VERSION
    partial = config.out / f".{VERSION}{PARTIAL_SUFFIX}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for name in TABLES:
        _write_json(partial / f"{name}.json", builder.tables[name])
    _write_json(partial / SPLITS_FILE, config.splits())
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return folder


def _write_json(path: Path, content: object) -> None:
    write_atomically(path, lambda file: file.write(msgspec.json.encode(content) + b"\n"))


class _TableBuilder:
    def __init__(self, config: SyntheticConfig) -> None:
        self._config = config
        self._rig = config.resolved_rig()
        self.tables: dict[str, list[Record]] = {name: [] for name in TABLES}
        for name, description in CATEGORIES.items():
            self._add("category", name, name=name, description=description)
        for name, description in ATTRIBUTES.items():
            self._add("attribute", name, name=name, description=description)
        for token, (level, description, _) in VISIBILITY_LEVELS.items():
            self.tables["visibility"].append(
                {"token": token, "level": level, "description": description}
            )
        self._add_sensors()

    def add_scene(self, plan: ScenePlan, keyframes: Sequence[KeyframeRecord]) -> None:
        scene = self._token("scene", plan.name)
        log = self._add(
            "log",
            plan.name,
            logfile=plan.name,
            vehicle="synthetic",
            date_captured="2023-11-14",
            location=f"synthetic-{plan.palette}",
        )
        self._add(
            "map",
            plan.name,
            category="semantic_prior",
            filename=map_file(plan.name),
            log_tokens=[log],
        )
        self._add(
            "scene",
            plan.name,
            name=plan.name,
            description=f"Procedural drive, seed {plan.seed}, {plan.palette} palette",
            log_token=log,
            nbr_samples=len(keyframes),
            first_sample_token=keyframes[0].token,
            last_sample_token=keyframes[-1].token,
        )
        samples = [
            {"token": key.token, "timestamp": key.timestamp_us, "scene_token": scene}
            for key in keyframes
        ]
        self.tables["sample"].extend(_chained(samples))
        self._add_readings(plan, keyframes)
        self._add_annotations(plan, keyframes)

    def _add_sensors(self) -> None:
        for camera in self._rig.cameras:
            intrinsics = intrinsics_of(camera).tolist()
            self._add_sensor(camera.name, "camera", camera, intrinsics)
        self._add_sensor(LIDAR_CHANNEL, "lidar", self._rig.lidar, [])

    def _add_sensor(
        self,
        channel: str,
        modality: str,
        spec: CameraSpec | LidarSpec,
        intrinsics: list[list[float]],
    ) -> None:
        length = sum(q * q for q in spec.rotation) ** 0.5
        self._add(
            "calibrated_sensor",
            channel,
            sensor_token=self._add("sensor", channel, channel=channel, modality=modality),
            translation=spec.translation,
            rotation=[q / length for q in spec.rotation],
            camera_intrinsic=intrinsics,
        )

    def _add_readings(self, plan: ScenePlan, keyframes: Sequence[KeyframeRecord]) -> None:
        chains: dict[str, list[Record]] = {}
        for index, key in enumerate(keyframes):
            for reading in key.readings:
                sample = key.token if reading.is_key_frame else _nearest(keyframes, index, reading)
                record = self._reading(plan, reading, sample)
                chains.setdefault(reading.channel, []).append(record)
        for chain in chains.values():
            chain.sort(key=lambda record: int(record["timestamp"]))
            self.tables["sample_data"].extend(_chained(chain))

    def _reading(self, plan: ScenePlan, reading: ReadingRecord, sample: str) -> Record:
        pose = reading.global_from_ego
        token = self._add(
            "ego_pose",
            f"{plan.name}/{reading.channel}/{reading.timestamp_us}",
            timestamp=reading.timestamp_us,
            translation=pose.translation,
            rotation=pose.rotation,
        )
        is_camera = reading.channel != LIDAR_CHANNEL
        return {
            "token": self._token("sample_data", plan.name, reading.channel, reading.timestamp_us),
            "sample_token": sample,
            "ego_pose_token": token,
            "calibrated_sensor_token": self._token("calibrated_sensor", reading.channel),
            "timestamp": reading.timestamp_us,
            "fileformat": "jpg" if is_camera else "pcd",
            "is_key_frame": reading.is_key_frame,
            "height": self._config.height if is_camera else 0,
            "width": self._config.width if is_camera else 0,
            "filename": reading.filename,
        }

    def _add_annotations(self, plan: ScenePlan, keyframes: Sequence[KeyframeRecord]) -> None:
        chains: dict[int, list[Record]] = {}
        categories: dict[int, str] = {}
        for key in keyframes:
            for box in key.annotations:
                categories[box.object] = box.category
                attributes = [] if box.attribute is None else [box.attribute]
                record = {
                    "token": self._token("annotation", key.token, box.object),
                    "sample_token": key.token,
                    "instance_token": self._token("instance", plan.name, box.object),
                    "visibility_token": box.visibility,
                    "attribute_tokens": [self._token("attribute", name) for name in attributes],
                    "translation": box.global_from_box.translation,
                    "size": box.size_wlh,
                    "rotation": box.global_from_box.rotation,
                    "num_lidar_pts": box.lidar_points,
                    "num_radar_pts": 0,
                }
                chains.setdefault(box.object, []).append(record)
        for number, chain in chains.items():
            self.tables["sample_annotation"].extend(_chained(chain))
            self.tables["instance"].append(
                {
                    "token": self._token("instance", plan.name, number),
                    "category_token": self._token("category", categories[number]),
                    "nbr_annotations": len(chain),
                    "first_annotation_token": chain[0]["token"],
                    "last_annotation_token": chain[-1]["token"],
                }
            )

    def _token(self, *names: str | int) -> str:
        return self._config.token(*names)

    def _add(self, table: str, name: str, /, **fields: Any) -> str:
        token = self._token(table, name)
        self.tables[table].append({"token": token, **fields})
        return token


def _chained(records: list[Record]) -> list[Record]:
    """Fill `prev` and `next` of records that follow each other."""
    for record in records:
        record["prev"], record["next"] = "", ""
    for before, after in pairwise(records):
        before["next"], after["prev"] = after["token"], before["token"]
    return records


def _nearest(keyframes: Sequence[KeyframeRecord], index: int, reading: ReadingRecord) -> str:
    """Token of the keyframe that an image between keyframe `index` and the next belongs to."""
    around = keyframes[index : index + 2]
    return min(around, key=lambda key: abs(key.timestamp_us - reading.timestamp_us)).token
