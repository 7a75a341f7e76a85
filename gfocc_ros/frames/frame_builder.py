"""A set of camera messages to a Frame: decode, calibrate, look up poses.

A camera whose image, calibration or pose cannot be used is marked missing and counted by
reason; nothing in a message raises. Called by the node's worker thread only, but for `expect`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from sensor_msgs.msg import CameraInfo
from torch import Tensor

from gfocc_core.frame import Frame
from gfocc_core.geometry import CameraRig
from gfocc_core.images import ImageDecodeError
from gfocc_ros.frames.calibration_book import CalibrationBook
from gfocc_ros.frames.camera_info import CalibrationError
from gfocc_ros.frames.camera_shots import (
    MISSING,
    CameraShot,
    CameraShown,
    SizeMismatchError,
    shown,
)
from gfocc_ros.frames.drops import Drop, DropCounters
from gfocc_ros.frames.frame_assembler import ImageSet
from gfocc_ros.frames.frame_poses import FramePoses, Poses
from gfocc_ros.frames.image_decoders import Decoding, ImageDecoders, ImageMessage
from gfocc_ros.frames.odometry_watch import OdometryWatch
from gfocc_ros.tf.transforms import PoseUnavailable

__all__ = ["BuildReport", "FrameBuilder", "ImageMessage", "Poses"]

_HOST = torch.device("cpu")


@dataclass(frozen=True)
class BuildReport:
    """What a build cost, and how far apart its images were taken."""

    tf_wait_ms: float = 0.0
    """Spent in asking for poses, waiting included."""
    decode_ms: float = 0.0
    """Until the last image was decoded, beside the poses, on all threads together; 0 where that
    was before the build."""
    camera_spread_ms: float = 0.0
    """Between the oldest and the newest image of the frame, by their stamps."""


class FrameBuilder:
    """Builds frames of a fixed list of cameras.

    Args:
        cameras: in the order of the frames' rigs.
        min_cameras: a frame with fewer usable cameras is dropped.
        poses: tf.
        drops: counts what could not be used.
        max_odometry_jump_m: a pose that is off by more, beyond what driving explains, begins a
            new `scene`, so that the predictor drops its memory.
        input_size: the network's (height, width), to decode images no larger than it needs;
            None: at full size.
        device: of the predictor; a GPU decodes JPEGs itself.
    """

    def __init__(
        self,
        cameras: tuple[str, ...],
        min_cameras: int,
        poses: Poses,
        drops: DropCounters,
        *,
        max_odometry_jump_m: float = 5.0,
        input_size: tuple[int, int] | None = None,
        device: torch.device = _HOST,
    ) -> None:
        self._cameras, self._min_cameras = cameras, min_cameras
        self._poses, self._drops = poses, drops
        self._calibrations = CalibrationBook()
        self._odometry = OdometryWatch(max_odometry_jump_m)
        self._decoders = ImageDecoders(len(cameras), input_size, device)
        self._epoch, self._odometry_jumps = 0, 0
        self._unconfirmed: dict[str, Decoding] = {}
        self.report = BuildReport()
        """Of the last build, also where it gave no frame."""

    def expect(self, camera: str, message: ImageMessage) -> None:
        """Start decoding an image that the next build will probably hold; from any thread."""
        self._decoders.expect(camera, message)

    def close(self) -> None:
        """End the decoding threads; running ones finish their image."""
        self._decoders.close()

    def build(
        self, image_set: ImageSet[ImageMessage], infos: Mapping[str, CameraInfo]
    ) -> Frame | None:
        """The frame of a set, or None if the vehicle's pose or too many cameras are missing.

        That its images are whole is known only when `confirm` has said so.

        Args:
            image_set: messages as they arrived.
            infos: each camera's latest calibration; cameras without one are absent.
        """
        began_s = time.monotonic()
        shots = self._start_shots(image_set, infos)
        poses = FramePoses(self._poses, image_set.stamp_ns)
        views: dict[str, CameraShown] = {}
        try:
            global_from_ego = poses.global_from_ego()
        except PoseUnavailable as error:
            self._drops.count(Drop.NO_EGO_POSE, detail=str(error))
            for shot in shots.values():
                shot.decoding.cancel()
            return None
        else:
            views = self._views(shots, poses)
        finally:
            self.report = _report(views, poses, began_s)
        if not self._are_enough(len(views)):
            return None
        self._unconfirmed = {camera: shots[camera].decoding for camera in views}
        scene = self._scene(image_set, global_from_ego)
        return self._frame(views, global_from_ego, image_set.stamp_ns, scene)

    def confirm(self, frame: Frame) -> Frame | None:
        """The frame that `build` returned last, once its images are known to be whole.

        Where some are not it is another frame without their cameras, or None if too few are left.
        """
        damaged = set()
        for camera, decoding in self._unconfirmed.items():
            try:
                decoding.confirm()
            except ImageDecodeError as error:
                self._drops.count(Drop.UNDECODABLE_IMAGE, camera, str(error))
                damaged.add(camera)
        self._unconfirmed = {}
        if not damaged:
            return frame
        valid = tuple(
            ok and camera not in damaged
            for camera, ok in zip(self._cameras, frame.valid, strict=True)
        )
        return replace(frame, valid=valid) if self._are_enough(sum(valid)) else None

    def _start_shots(
        self, image_set: ImageSet[ImageMessage], infos: Mapping[str, CameraInfo]
    ) -> dict[str, CameraShot]:
        """Start decoding the images of cameras whose calibration can be used."""
        calibrations = {}
        for camera, image in image_set.images.items():
            info = infos.get(camera)
            if info is None:
                self._drops.count(Drop.NO_CAMERA_INFO, camera, "no CameraInfo arrived yet")
                continue
            try:
                calibrations[camera] = self._calibrations.calibration(camera, info, image.stamp_ns)
            except CalibrationError as error:
                self._drops.count(Drop.BAD_CAMERA_INFO, camera, str(error))
        images = {camera: image_set.images[camera] for camera in calibrations}
        decodings = self._decoders.submit({c: image.message for c, image in images.items()})
        return {
            camera: CameraShot(
                stamp_ns=image.stamp_ns,
                frame_id=image.message.header.frame_id or infos[camera].header.frame_id,
                calibration=calibrations[camera],
                decoding=decodings[camera],
            )
            for camera, image in images.items()
        }

    def _views(self, shots: Mapping[str, CameraShot], poses: FramePoses) -> dict[str, CameraShown]:
        """The cameras that can be used; tf is asked while the images are decoded."""
        found = {}
        for camera, shot in shots.items():
            try:
                found[camera] = poses.ego_from_cam(shot.frame_id, shot.stamp_ns)
            except PoseUnavailable as error:
                self._drops.count(Drop.NO_CAMERA_POSE, camera, str(error))
        views = {}
        for camera, pose in found.items():
            try:
                views[camera] = shown(shots[camera], pose)
            except ImageDecodeError as error:
                self._drops.count(Drop.UNDECODABLE_IMAGE, camera, str(error))
            except SizeMismatchError as error:
                self._drops.count(Drop.SIZE_MISMATCH, camera, str(error))
        return views

    def _are_enough(self, usable: int) -> bool:
        """Whether a frame may be made of so many cameras; counts it where not."""
        if usable >= self._min_cameras:
            return True
        found = f"{usable} of min_cameras {self._min_cameras} are usable"
        self._drops.count(Drop.TOO_FEW_CAMERAS, detail=found)
        return False

    def _scene(self, image_set: ImageSet[ImageMessage], global_from_ego: Tensor) -> str:
        """Another name after every jump of time or odometry."""
        if image_set.epoch != self._epoch:
            self._epoch = image_set.epoch
            self._odometry.forget()
        found = self._odometry.jump(image_set.stamp_ns, global_from_ego)
        if found:
            self._odometry_jumps += 1
            self._drops.count(Drop.ODOMETRY_JUMP, detail=found)
        return f"run {self._epoch}, odometry {self._odometry_jumps}"

    def _frame(
        self,
        views: Mapping[str, CameraShown],
        global_from_ego: Tensor,
        stamp_ns: int,
        scene: str,
    ) -> Frame:
        every = [views.get(camera, MISSING) for camera in self._cameras]
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
            scene=scene,
        )


def _report(views: Mapping[str, CameraShown], poses: FramePoses, began_s: float) -> BuildReport:
    stamps = [view.stamp_ns for view in views.values()]
    return BuildReport(
        tf_wait_ms=poses.wait_s * 1e3,
        decode_ms=max([0.0, *(view.ready_s - began_s for view in views.values())]) * 1e3,
        camera_spread_ms=(max(stamps) - min(stamps)) * 1e-6 if stamps else 0.0,
    )
