"""A set of camera messages to a Frame: decode, calibrate, look up poses.

A camera whose image, calibration or pose cannot be used is marked missing and counted by
reason; nothing in a message raises. Called by the node's worker thread only.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import torch
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from torch import Tensor

from gfocc_core.frame import Frame
from gfocc_core.geometry import CameraRig
from gfocc_core.images import ImageDecodeError
from gfocc_ros.camera_info import CalibrationError, intrinsics_from_message
from gfocc_ros.camera_stream import StampedImage
from gfocc_ros.drops import Drop, DropCounters
from gfocc_ros.frame_assembler import ImageSet
from gfocc_ros.images import rgb_from_message
from gfocc_ros.transforms import PoseUnavailable

ImageMessage: TypeAlias = Image | CompressedImage


class Poses(Protocol):
    """Where poses [4, 4] float64 come from; both calls may wait and raise PoseUnavailable."""

    def global_from_ego(self, stamp_ns: int) -> Tensor: ...

    def ego_from_cam(
        self, camera_frame: str, camera_stamp_ns: int, ego_stamp_ns: int
    ) -> Tensor: ...


class UnusableCameraError(Exception):
    """Why a camera is missing from a frame."""

    def __init__(self, reason: Drop, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True)
class _CameraView:
    image: Tensor
    intrinsics: Tensor
    ego_from_cam: Tensor


_MISSING = _CameraView(
    torch.zeros(1, 1, 3, dtype=torch.uint8),
    torch.eye(3, dtype=torch.float64),
    torch.eye(4, dtype=torch.float64),
)
"""Stands for a camera that is not valid; its values are never looked at."""


class FrameBuilder:
    """Builds frames of a fixed list of cameras."""

    def __init__(
        self, cameras: tuple[str, ...], min_cameras: int, poses: Poses, drops: DropCounters
    ) -> None:
        self._cameras = cameras
        self._min_cameras = min_cameras
        self._poses = poses
        self._drops = drops
        self._decoders = ThreadPoolExecutor(len(cameras), thread_name_prefix="decode")

    def close(self) -> None:
        """End the decoding threads; running ones finish their image."""
        self._decoders.shutdown(wait=False, cancel_futures=True)

    def build(
        self, image_set: ImageSet[ImageMessage], infos: Mapping[str, CameraInfo]
    ) -> Frame | None:
        """The frame of a set, or None if the vehicle's pose or too many cameras are missing.

        Args:
            image_set: messages as they arrived.
            infos: each camera's latest calibration; cameras without one are absent.
        """
        stamp_ns = image_set.stamp_ns
        decoding = {
            camera: self._decoders.submit(_decode, image.message)
            for camera, image in image_set.images.items()
        }
        try:
            global_from_ego = self._poses.global_from_ego(stamp_ns)
        except PoseUnavailable as error:
            self._drops.count(Drop.NO_EGO_POSE, detail=str(error))
            return None
        views = {}
        for camera, image in image_set.images.items():
            try:
                views[camera] = self._view(image, infos.get(camera), stamp_ns, decoding[camera])
            except UnusableCameraError as error:
                self._drops.count(error.reason, camera, str(error))
        if len(views) < self._min_cameras:
            found = f"{len(views)} of min_cameras {self._min_cameras} are usable"
            self._drops.count(Drop.TOO_FEW_CAMERAS, detail=found)
            return None
        return self._frame(views, global_from_ego, stamp_ns)

    def _view(
        self,
        image: StampedImage[ImageMessage],
        info: CameraInfo | None,
        stamp_ns: int,
        decoding: Future[Tensor],
    ) -> _CameraView:
        if info is None:
            raise UnusableCameraError(Drop.NO_CAMERA_INFO, "no CameraInfo arrived yet")
        try:
            intrinsics = intrinsics_from_message(info)
        except CalibrationError as error:
            raise UnusableCameraError(Drop.BAD_CAMERA_INFO, str(error)) from error
        camera_frame = image.message.header.frame_id or info.header.frame_id
        if not camera_frame:
            found = "neither the image nor its CameraInfo names its frame_id"
            raise UnusableCameraError(Drop.NO_CAMERA_POSE, found)
        try:
            pose = self._poses.ego_from_cam(camera_frame, image.stamp_ns, stamp_ns)
        except PoseUnavailable as error:
            raise UnusableCameraError(Drop.NO_CAMERA_POSE, str(error)) from error
        if not bool(torch.isfinite(pose).all()):
            raise UnusableCameraError(Drop.NO_CAMERA_POSE, f"tf of '{camera_frame}' is not finite")
        pixels = decoding.result()
        height, width = pixels.shape[:2]
        if (width, height) != (info.width, info.height):
            found = f"image is {width}x{height}, its CameraInfo says {info.width}x{info.height}"
            raise UnusableCameraError(Drop.SIZE_MISMATCH, found)
        return _CameraView(pixels, intrinsics, pose)

    def _frame(
        self, views: Mapping[str, _CameraView], global_from_ego: Tensor, stamp_ns: int
    ) -> Frame:
        every = [views.get(camera, _MISSING) for camera in self._cameras]
        rig = CameraRig(
            names=self._cameras,
            intrinsics=torch.stack([view.intrinsics for view in every]),
            ego_from_cam=torch.stack([view.ego_from_cam for view in every]),
            image_sizes=tuple((view.image.shape[0], view.image.shape[1]) for view in every),
        )
        return Frame(
            images=tuple(view.image for view in every),
            rig=rig,
            global_from_ego=global_from_ego,
            stamp_ns=stamp_ns,
            valid=tuple(camera in views for camera in self._cameras),
        )


def _decode(message: ImageMessage) -> Tensor:
    try:
        return rgb_from_message(message)
    except ImageDecodeError as error:
        raise UnusableCameraError(Drop.UNDECODABLE_IMAGE, str(error)) from error
    except Exception as error:  # whatever a decoder does with foreign bytes, the node lives on
        found = f"{type(error).__name__}: {error}"
        raise UnusableCameraError(Drop.UNDECODABLE_IMAGE, found) from error
