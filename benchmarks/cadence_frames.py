"""Frames from the camera images between keyframes, for the memory benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from gfocc_core.data.frames import NUSCENES_CAMERAS, load_frame
from gfocc_core.data.scenes import DatasetError, get_record
from gfocc_core.data.sensors import (
    Record,
    camera_intrinsics,
    ego_from_sensor,
    global_from_ego,
    image_size_of,
    read_file,
    scene_readings,
    stamp_ns_of,
)
from gfocc_core.frame import Frame
from gfocc_core.geometry import CameraRig, compose_ego_from_cam
from gfocc_core.images import decode_image

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

REFERENCE_CAMERA = "CAM_FRONT"
"""Between keyframes a frame's stamp and ego pose are this camera's."""


class CameraRateScene:
    """One scene at the rate of its cameras."""

    def __init__(self, nusc: NuScenes, scene: str) -> None:
        """Raises DatasetError: an unknown scene, or one without images between keyframes."""
        self._nusc, self._scene = nusc, scene
        self._between: dict[str, list[Record]] = {camera: [] for camera in NUSCENES_CAMERAS}
        for reading in scene_readings(nusc, scene):
            if reading["channel"] in self._between and not reading["is_key_frame"]:
                self._between[reading["channel"]].append(reading)
        lacking = [camera for camera, readings in self._between.items() if not readings]
        if lacking:
            raise DatasetError(
                f"scene '{scene}' has no images between keyframes from {', '.join(lacking)}"
            )

    def frames_up_to(self, token: str, after_ns: int) -> Iterator[Frame]:
        """The frames between a stamp and a keyframe, oldest first, then the keyframe's own."""
        keyframe = load_frame(self._nusc, token)
        for reference in self._between[REFERENCE_CAMERA]:
            if after_ns < stamp_ns_of(reference) < keyframe.stamp_ns:
                yield self._frame(reference)
        yield keyframe

    def _frame(self, reference: Record) -> Frame:
        stamp_ns = stamp_ns_of(reference)
        nearest = {
            camera: min(readings, key=lambda reading: abs(stamp_ns_of(reading) - stamp_ns))
            for camera, readings in self._between.items()
        }
        pose = global_from_ego(self._nusc, reference)
        return Frame(
            images=tuple(decode_image(read_file(self._nusc, it)) for it in nearest.values()),
            rig=self._rig(nearest, reference),
            global_from_ego=pose,
            stamp_ns=stamp_ns,
            valid=(True,) * len(nearest),
            scene=self._scene,
        )

    def _rig(self, readings: Mapping[str, Record], reference: Record) -> CameraRig:
        nusc, pose = self._nusc, global_from_ego(self._nusc, reference)
        poses = [
            compose_ego_from_cam(pose, global_from_ego(nusc, it), ego_from_sensor(nusc, it))
            for it in readings.values()
        ]
        matrices = [camera_intrinsics(nusc, it) for it in readings.values()]
        return CameraRig(
            names=tuple(readings),
            intrinsics=torch.stack(matrices).float(),
            ego_from_cam=torch.stack(poses).float(),
            image_sizes=tuple(image_size_of(it) for it in readings.values()),
        )


def scenes_at_camera_rate(nusc: NuScenes, scenes: Sequence[str]) -> dict[str, CameraRateScene]:
    """By name; raises DatasetError as CameraRateScene does."""
    return {scene: CameraRateScene(nusc, scene) for scene in scenes}


def scene_of(nusc: NuScenes, token: str) -> str:
    """Name of a keyframe's scene."""
    sample = get_record(nusc, "sample", token)
    return str(get_record(nusc, "scene", sample["scene_token"])["name"])
