"""Read keyframes of an index as Frames: any dataset's, a robot's recordings too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from gfocc_core.data.index import Keyframe, SceneIndex
from gfocc_core.data.scenes import DatasetError
from gfocc_core.frame import Frame
from gfocc_core.geometry import CameraRig, compose_ego_from_cam
from gfocc_core.images import ImageDecodeError, decode_image


def iter_indexed_frames(index: SceneIndex, scene: str) -> Iterator[Frame]:
    """The keyframes of a scene, oldest first; images are decoded as they are asked for.

    Raises:
        DatasetError: unknown scene (at the call), or what load_indexed_frame raises.
    """
    positions = index.positions_of_scene(scene)
    return (load_indexed_frame(index, position) for position in positions)


def load_indexed_frame(index: SceneIndex, position: int) -> Frame:
    """One keyframe with its decoded images, cameras in the index's order.

    A camera that the keyframe lacks is not valid in the Frame.

    Raises:
        DatasetError: an image is missing, undecodable or not of the size in the index.
    """
    keyframe = index.keyframe(position)
    cameras = keyframe.cameras
    ego_from_cam = compose_ego_from_cam(
        keyframe.global_from_ego, cameras.global_from_ego_at_cam, cameras.ego_at_cam_from_cam
    )
    try:
        return Frame(
            images=tuple(_image(keyframe, camera) for camera in range(len(index.cameras))),
            rig=CameraRig(
                names=index.cameras,
                intrinsics=cameras.intrinsics.float(),
                ego_from_cam=ego_from_cam.float(),
                image_sizes=keyframe.image_sizes,
            ),
            global_from_ego=keyframe.global_from_ego,
            stamp_ns=keyframe.stamp_ns,
            valid=tuple(cameras.valid.tolist()),
            scene=keyframe.scene,
        )
    except DatasetError:
        raise
    except ValueError as error:
        raise DatasetError(f"keyframe '{keyframe.token}' makes no frame: {error}") from error


def _image(keyframe: Keyframe, camera: int) -> Tensor:
    path = keyframe.camera_files[camera]
    if path is None:
        return torch.zeros(0, 0, 3, dtype=torch.uint8)
    try:
        image = decode_image(Path(path).read_bytes())
    except ImageDecodeError as error:
        raise DatasetError(f"image '{path}' is corrupt: {error}") from error
    except OSError as error:
        raise DatasetError(f"image '{path}' cannot be read: {error.strerror}") from error
    height, width = keyframe.image_sizes[camera]
    if tuple(image.shape[:2]) != (height, width):
        raise DatasetError(
            f"image '{path}' is {image.shape[1]}x{image.shape[0]}, but the index says "
            f"{width}x{height}"
        )
    return image
