"""Read nuScenes keyframes as Frames, each camera with the ego pose of its own stamp."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gfocc_core.data.scenes import DatasetError, get_record, keyframe_tokens
from gfocc_core.data.sensors import (
    Record,
    camera_intrinsics,
    ego_from_sensor,
    file_of,
    global_from_ego,
    image_size_of,
    keyframe_reading,
    read_file,
    stamp_ns_of,
)
from gfocc_core.frame import Frame
from gfocc_core.geometry import CameraRig, compose_ego_from_cam
from gfocc_core.images import ImageDecodeError, decode_image

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

NUSCENES_CAMERAS: tuple[str, ...] = (
    "CAM_FRONT_LEFT",
    "CAM_FRONT",
    "CAM_FRONT_RIGHT",
    "CAM_BACK_LEFT",
    "CAM_BACK",
    "CAM_BACK_RIGHT",
)
"""The six cameras in the order the network was designed for."""

REFERENCE_CHANNEL = "LIDAR_TOP"
"""The sensor whose stamp and ego pose are the frame's."""


def in_network_order(channels: Iterable[str]) -> tuple[str, ...]:
    """Names of cameras in the order a network learns them: nuScenes' own first, others by name."""
    found = set(channels)
    known = [camera for camera in NUSCENES_CAMERAS if camera in found]
    return (*known, *sorted(found.difference(known)))


def dataset_cameras(nusc: NuScenes) -> tuple[str, ...]:
    """All cameras of a dataset, in the order that its index has them too."""
    return in_network_order(r["channel"] for r in nusc.sensor if r["modality"] == "camera")


def iter_frames(
    nusc: NuScenes, scene_name: str, cameras: Sequence[str] | None = None
) -> Iterator[Frame]:
    """The keyframes of a scene, oldest first; images are decoded as they are asked for.

    Args are those of load_frame.

    Raises:
        DatasetError: unknown scene (at the call), or what load_frame raises (at that frame).
    """
    tokens = keyframe_tokens(nusc, scene_name)
    return (load_frame(nusc, token, cameras) for token in tokens)


def load_frame(nusc: NuScenes, sample_token: str, cameras: Sequence[str] | None = None) -> Frame:
    """One keyframe with its decoded images.

    Args:
        nusc: The dataset, from open_nuscenes.
        sample_token: Which keyframe.
        cameras: Channels, in the order the frame shall have them; None: all of the dataset, in
            the order training has them.

    Returns:
        A Frame whose reference ego is the LIDAR_TOP pose of the keyframe; all cameras are valid.

    Raises:
        DatasetError: unknown token, a sensor or record that the keyframe lacks, an image that is
            missing, undecodable or not of the size in the tables, impossible calibration.
    """
    sample = get_record(nusc, "sample", sample_token)
    reference = keyframe_reading(nusc, sample, REFERENCE_CHANNEL)
    pose = global_from_ego(nusc, reference)
    names = dataset_cameras(nusc) if cameras is None else tuple(cameras)
    readings = [keyframe_reading(nusc, sample, camera) for camera in names]
    images = tuple(_decode(nusc, reading) for reading in readings)
    try:
        return Frame(
            images=images,
            rig=_rig(nusc, names, readings, pose),
            global_from_ego=pose,
            stamp_ns=stamp_ns_of(reference),
            valid=(True,) * len(readings),
            scene=get_record(nusc, "scene", sample["scene_token"])["name"],
        )
    except DatasetError:
        raise
    except ValueError as error:
        raise DatasetError(f"sample '{sample_token}' makes no frame: {error}") from error


def _rig(
    nusc: NuScenes, cameras: Sequence[str], readings: Sequence[Record], pose: Tensor
) -> CameraRig:
    if not readings:
        raise DatasetError("cameras is empty: a frame needs at least one camera")
    ego_from_cam = [
        compose_ego_from_cam(pose, global_from_ego(nusc, reading), ego_from_sensor(nusc, reading))
        for reading in readings
    ]
    return CameraRig(
        names=tuple(cameras),
        intrinsics=torch.stack([camera_intrinsics(nusc, reading) for reading in readings]).float(),
        ego_from_cam=torch.stack(ego_from_cam).float(),
        image_sizes=tuple(image_size_of(reading) for reading in readings),
    )


def _decode(nusc: NuScenes, reading: Record) -> Tensor:
    try:
        image = decode_image(read_file(nusc, reading))
    except ImageDecodeError as error:
        raise DatasetError(f"image '{file_of(nusc, reading)}' is corrupt: {error}") from error
    height, width = image_size_of(reading)
    if tuple(image.shape[:2]) != (height, width):
        raise DatasetError(
            f"image '{file_of(nusc, reading)}' is {image.shape[1]}x{image.shape[0]}, "
            f"but sample_data says {width}x{height}"
        )
    return image
