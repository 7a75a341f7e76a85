"""Where LIDAR_TOP was at each keyframe of a scene: the places RayIoU looks from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gfocc_core.data.frames import REFERENCE_CHANNEL
from gfocc_core.data.scenes import get_record, keyframe_tokens
from gfocc_core.data.sensors import ego_from_sensor, global_from_ego, keyframe_reading

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes


def lidar_positions(nusc: NuScenes, scene_name: str) -> Tensor:
    """Positions float64 [keyframes, 3] in the global frame, metres, oldest first.

    Raises:
        DatasetError: unknown scene, or a keyframe without LIDAR_TOP.
    """
    positions = []
    for token in keyframe_tokens(nusc, scene_name):
        reading = keyframe_reading(nusc, get_record(nusc, "sample", token), REFERENCE_CHANNEL)
        global_from_lidar = global_from_ego(nusc, reading) @ ego_from_sensor(nusc, reading)
        positions.append(global_from_lidar[:3, 3])
    return torch.stack(positions)
