"""A small synthetic dataset in the nuScenes schema: what one real keyframe cannot show.

Two scenes of several keyframes at 2 Hz with camera sweeps between them, a vehicle that drives a
curve, six cameras that fire one after the other, tiny random JPEGs. nuscenes-devkit loads it.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pyquaternion import Quaternion

VERSION = "v1.0-test"
SCENES = ("scene-0001", "scene-0002")
WIDTH, HEIGHT = 64, 36
KEYFRAME_S = 0.5
SCENE_DISTANCE_S = 100

_START_S = 1_600_000_010

# Channel -> (yaw of the viewing direction in degrees, stamp relative to the keyframe in ms).
# CAM_BACK fires at the very stamp of LIDAR_TOP.
CAMERAS = {
    "CAM_FRONT_LEFT": (55.0, -43),
    "CAM_FRONT": (0.0, -35),
    "CAM_FRONT_RIGHT": (-55.0, -27),
    "CAM_BACK_LEFT": (110.0, -10),
    "CAM_BACK": (180.0, 0),
    "CAM_BACK_RIGHT": (-110.0, -19),
}

# Channel -> yaw of the viewing direction in degrees.
RADARS = {"RADAR_FRONT": 0.0, "RADAR_BACK_LEFT": 170.0}
RADAR_OFFSET_MS = -22
RADAR_POINT = np.dtype(
    [
        *((name, "<f4") for name in ("x", "y", "z")),
        *(("dyn_prop", "<i1"), ("id", "<i2")),
        *((name, "<f4") for name in ("rcs", "vx", "vy", "vx_comp", "vy_comp")),
        *((name, "<i1") for name in ("is_quality_valid", "ambig_state", "x_rms", "y_rms")),
        *((name, "<i1") for name in ("invalid_state", "pdh0", "vx_rms", "vy_rms")),
    ]
)

# Object -> (category, position from the vehicle's at the start in metres, width, length, height).
BOXES = {
    "gone": ("human.pedestrian.adult", (4.0, 3.0, 0.9), (0.6, 0.7, 1.8)),
    "car": ("vehicle.car", (12.0, -4.0, 0.8), (1.9, 4.5, 1.6)),
    "bus": ("vehicle.bus.rigid", (-8.0, 6.0, 1.7), (2.9, 11.0, 3.4)),
}

Record = dict[str, Any]


@dataclass(frozen=True)
class NuscenesFixture:
    """Where the dataset lies and what it holds."""

    root: Path
    version: str
    scenes: tuple[str, ...]
    keyframes: int
    """Per scene."""
    images_per_camera: int
    """Keyframes and sweeps, per scene."""

    def table(self, name: str) -> Path:
        return self.root / self.version / f"{name}.json"


def write_nuscenes(
    root: Path,
    scenes: tuple[str, ...] = SCENES,
    keyframes: int = 3,
    sweeps: int = 1,
    keyframe_s: float = KEYFRAME_S,
    radars: bool = False,
    annotations: bool = False,
) -> NuscenesFixture:
    """Write the dataset below root (`sweeps` camera images between two keyframes).

    Args:
        radars: Whether RADARS fire with the cameras, keyframes and sweeps.
        annotations: Whether every keyframe shows BOXES, of which the first vanishes after the
            first keyframe.
    """
    builder = _Builder(root, np.random.default_rng(7), radars, annotations)
    for index, scene in enumerate(scenes):
        builder.add_scene(scene, _START_S + SCENE_DISTANCE_S * index, keyframes, sweeps, keyframe_s)
    builder.write_tables()
    images = keyframes + sweeps * (keyframes - 1)
    return NuscenesFixture(root, VERSION, scenes, keyframes, images)


def _pose_at(seconds: float) -> tuple[list[float], Quaternion]:
    """The ego pose so long after the scene's start, on a climbing curve: `global_from_ego`."""
    position = [600 + 8 * seconds, 1600 + 0.6 * seconds**2, 0.1 * seconds]
    yaw = Quaternion(axis=[0, 0, 1], radians=2.8 + 0.15 * seconds)
    return position, yaw * Quaternion(axis=[0, 1, 0], radians=0.02 * np.cos(seconds))


def radar_file(points: Any) -> bytes:
    """A radar file as nuScenes writes it, of RADAR_POINT records."""
    fields = [(name, RADAR_POINT[name].str) for name in RADAR_POINT.names or ()]
    lines = [
        "# .PCD v0.7 - Point Cloud Data file format",
        "VERSION 0.7",
        "FIELDS " + " ".join(name for name, _ in fields),
        "SIZE " + " ".join(kind[2] for _, kind in fields),
        "TYPE " + " ".join(kind[1].upper() for _, kind in fields),
        "COUNT " + " ".join("1" for _ in fields),
        f"WIDTH {len(points)}",
        "HEIGHT 1",
        "VIEWPOINT 0 0 0 1 0 0 0",
        f"POINTS {len(points)}",
        "DATA binary",
    ]
    # nuScenes' files end with a byte that is no part of a point, and the devkit insists on it.
    return "".join(f"{line}\n" for line in lines).encode() + points.tobytes() + b"\n"


class _Builder:
    def __init__(
        self, root: Path, random: np.random.Generator, radars: bool, annotations: bool
    ) -> None:
        self._root = root
        self._random = random
        self._radars = RADARS if radars else {}
        self._annotations = annotations
        self._tables: dict[str, list[Record]] = {
            "category": [{"token": "category-car", "name": "vehicle.car", "description": ""}],
            "attribute": [],
            "visibility": [{"token": "4", "level": "v80-100", "description": ""}],
            "instance": [],
            "sensor": [],
            "calibrated_sensor": [],
            "ego_pose": [],
            "log": [],
            "scene": [],
            "sample": [],
            "sample_data": [],
            "sample_annotation": [],
            "map": [{"token": "map", "log_tokens": [], "category": "", "filename": ""}],
        }
        for channel in (*CAMERAS, "LIDAR_TOP"):
            modality = "lidar" if channel == "LIDAR_TOP" else "camera"
            self._add("sensor", f"sensor-{channel}", channel=channel, modality=modality)
        for channel in self._radars:
            self._add("sensor", f"sensor-{channel}", channel=channel, modality="radar")
        for category in sorted({category for category, _, _ in BOXES.values()} - {"vehicle.car"}):
            if annotations:
                self._add("category", category, name=category, description="")

    def add_scene(
        self, scene: str, start_s: int, keyframes: int, sweeps: int, keyframe_s: float
    ) -> None:
        tokens = [f"{scene}-sample-{index}" for index in range(keyframes)]
        log = self._add("log", f"{scene}-log", logfile=scene, vehicle="v", date_captured="")
        log["location"] = "nowhere"
        self._tables["map"][0]["log_tokens"].append(log["token"])
        self._add(
            "scene",
            f"{scene}-token",
            log_token=log["token"],
            nbr_samples=keyframes,
            first_sample_token=tokens[0],
            last_sample_token=tokens[-1],
            name=scene,
            description="",
        )
        self._add_calibrations(scene)
        for index, token in enumerate(tokens):
            self._add(
                "sample",
                token,
                timestamp=start_s * 1_000_000 + round(index * keyframe_s * 1e6),
                scene_token=f"{scene}-token",
                prev=tokens[index - 1] if index else "",
                next=tokens[index + 1] if index + 1 < keyframes else "",
            )
        steps = (keyframes - 1) * (sweeps + 1) + 1
        step_s = keyframe_s / (sweeps + 1)
        for step in range(steps):
            sample = tokens[round(step / (sweeps + 1))]
            is_key = step % (sweeps + 1) == 0
            stamp = start_s * 1_000_000 + round(step * step_s * 1e6)
            for channel, (_, offset_ms) in CAMERAS.items():
                self._add_reading(scene, channel, sample, stamp + offset_ms * 1000, is_key)
            for channel in self._radars:
                stamp_us = stamp + RADAR_OFFSET_MS * 1000
                self._add_reading(scene, channel, sample, stamp_us, is_key)
            if is_key:
                self._add_reading(scene, "LIDAR_TOP", sample, stamp, True)
        if self._annotations:
            self._add_boxes(scene, tokens)

    def write_tables(self) -> None:
        folder = self._root / VERSION
        folder.mkdir(parents=True)
        for name, records in self._tables.items():
            (folder / f"{name}.json").write_text(json.dumps(records))

    def _add_calibrations(self, scene: str) -> None:
        optical = Quaternion(matrix=np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]))
        for channel, (yaw, _) in CAMERAS.items():
            rotation = Quaternion(axis=[0, 0, 1], degrees=yaw + 0.7) * optical
            focal = 50.0 if channel != "CAM_BACK" else 32.0
            self._add(
                "calibrated_sensor",
                f"{scene}-{channel}",
                sensor_token=f"sensor-{channel}",
                translation=[1.5 * np.cos(np.radians(yaw)), 0.5 * np.sin(np.radians(yaw)), 1.5],
                rotation=rotation.elements.tolist(),
                camera_intrinsic=[[focal, 0, WIDTH / 2 - 1], [0, focal, HEIGHT / 2 + 1], [0, 0, 1]],
            )
        self._add(
            "calibrated_sensor",
            f"{scene}-LIDAR_TOP",
            sensor_token="sensor-LIDAR_TOP",
            translation=[0.94, 0.0, 1.84],
            rotation=Quaternion(axis=[0, 0, 1], degrees=-90).elements.tolist(),
            camera_intrinsic=[],
        )

        for channel, yaw in self._radars.items():
            self._add(
                "calibrated_sensor",
                f"{scene}-{channel}",
                sensor_token=f"sensor-{channel}",
                translation=[3.4 * np.cos(np.radians(yaw)), 0.6 * np.sin(np.radians(yaw)), 0.5],
                rotation=Quaternion(axis=[0, 0, 1], degrees=yaw).elements.tolist(),
                camera_intrinsic=[],
            )

    def _add_boxes(self, scene: str, samples: list[str]) -> None:
        start, heading = _pose_at(
            self._tables["sample"][-len(samples)]["timestamp"] / 1e6 % SCENE_DISTANCE_S
        )
        for name, (category, offset, size) in BOXES.items():
            seen = samples[:1] if name == "gone" else samples
            instance = f"{scene}-{name}"
            tokens = [f"{sample}-{name}" for sample in seen]
            self._add(
                "instance",
                instance,
                category_token="category-car" if category == "vehicle.car" else category,
                nbr_annotations=len(seen),
                first_annotation_token=tokens[0],
                last_annotation_token=tokens[-1],
            )
            for index, sample in enumerate(seen):
                position = np.array(start) + heading.rotate(np.array(offset)) + [index, 0, 0]
                self._add(
                    "sample_annotation",
                    tokens[index],
                    sample_token=sample,
                    instance_token=instance,
                    visibility_token="4",
                    attribute_tokens=[],
                    translation=position.tolist(),
                    rotation=heading.elements.tolist(),
                    size=list(size),
                    num_lidar_pts=1,
                    num_radar_pts=0,
                    prev=tokens[index - 1] if index else "",
                    next=tokens[index + 1] if index + 1 < len(seen) else "",
                )

    def _add_reading(
        self, scene: str, channel: str, sample: str, stamp_us: int, is_key: bool
    ) -> None:
        token = f"{scene}-{channel}-{stamp_us}"
        position, rotation = _pose_at(stamp_us / 1e6 % SCENE_DISTANCE_S)
        self._add(
            "ego_pose",
            token,
            timestamp=stamp_us,
            translation=position,
            rotation=rotation.elements.tolist(),
        )
        camera, radar = channel in CAMERAS, channel in RADARS
        folder = f"{'samples' if is_key else 'sweeps'}/{channel}"
        filename = f"{folder}/{token}.{'jpg' if camera else 'pcd' if radar else 'pcd.bin'}"
        self._add(
            "sample_data",
            token,
            sample_token=sample,
            ego_pose_token=token,
            calibrated_sensor_token=f"{scene}-{channel}",
            timestamp=stamp_us,
            fileformat="jpg" if camera else "pcd",
            is_key_frame=is_key,
            height=HEIGHT if camera else 0,
            width=WIDTH if camera else 0,
            filename=filename,
            prev="",
            next="",
        )
        path = self._root / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        read = self._jpeg if camera else self._radar_points if radar else self._sweep
        path.write_bytes(read())

    def _jpeg(self) -> bytes:
        pixels = self._random.integers(0, 256, (HEIGHT // 4, WIDTH // 4, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).resize((WIDTH, HEIGHT)).save(buffer, "JPEG", quality=90)
        return buffer.getvalue()

    def _sweep(self) -> bytes:
        points = self._random.uniform(-30, 30, (50, 5)).astype(np.float32)
        points[:, 3] = np.abs(points[:, 3])
        points[:, 4] = np.arange(50) % 32
        return points.tobytes()

    def _radar_points(self) -> bytes:
        points = np.zeros(20, RADAR_POINT)
        for name in ("x", "y", "vx", "vy", "vx_comp", "vy_comp", "rcs"):
            points[name] = self._random.uniform(-30, 30, len(points))
        points["id"] = np.arange(len(points)) * 300
        points["dyn_prop"] = np.arange(len(points)) % 8
        points["ambig_state"] = 3
        points["invalid_state"] = np.arange(len(points)) % 2
        return radar_file(points)

    def _add(self, table: str, token: str, **fields: Any) -> Record:
        record: Record = {"token": token, **fields}
        self._tables[table].append(record)
        return record
