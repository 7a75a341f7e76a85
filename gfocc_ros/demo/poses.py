"""Poses that stay known: tf forgets after some seconds, pictures are drawn after the drive."""

from __future__ import annotations

from sensor_msgs.msg import CameraInfo
from torch import Tensor

from gfocc_ros.frames.frame_assembler import ImageSet
from gfocc_ros.frames.frame_builder import ImageMessage, Poses
from gfocc_ros.tf.transforms import PoseUnavailable


class RememberedPoses:
    """Asks another source once per question and answers from memory from then on."""

    def __init__(self, source: Poses) -> None:
        self._source = source
        self._ego: dict[int, Tensor] = {}
        self._cameras: dict[tuple[str, int, int], Tensor] = {}

    def global_from_ego(self, stamp_ns: int) -> Tensor:
        """As the source's; raises PoseUnavailable."""
        if stamp_ns not in self._ego:
            self._ego[stamp_ns] = self._source.global_from_ego(stamp_ns)
        return self._ego[stamp_ns]

    def ego_from_cam(self, camera_frame: str, camera_stamp_ns: int, ego_stamp_ns: int) -> Tensor:
        """As the source's; raises PoseUnavailable."""
        question = (camera_frame, camera_stamp_ns, ego_stamp_ns)
        if question not in self._cameras:
            self._cameras[question] = self._source.ego_from_cam(*question)
        return self._cameras[question]

    def learn(self, image_set: ImageSet[ImageMessage], infos: dict[str, CameraInfo]) -> None:
        """Ask all that a frame of these images will need; what is unknown now stays unknown."""
        try:
            self.global_from_ego(image_set.stamp_ns)
            for camera, image in image_set.images.items():
                info = infos.get(camera)
                frame_id = image.message.header.frame_id or (info.header.frame_id if info else "")
                if frame_id:
                    self.ego_from_cam(frame_id, image.stamp_ns, image_set.stamp_ns)
        except PoseUnavailable:
            return
