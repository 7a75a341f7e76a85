"""Poses that were once known stay known; those that were not can still come."""

from __future__ import annotations

import pytest
import torch
from sensor_msgs.msg import CameraInfo, CompressedImage
from torch import Tensor

from gfocc_ros.demo.poses import RememberedPoses
from gfocc_ros.frames.camera_stream import StampedImage
from gfocc_ros.frames.frame_assembler import ImageSet
from gfocc_ros.tf.transforms import PoseUnavailable


class FadingPoses:
    """Knows everything until it forgets."""

    def __init__(self) -> None:
        self.knows = True
        self.asked = 0

    def global_from_ego(self, stamp_ns: int) -> Tensor:
        return self._answer(float(stamp_ns))

    def ego_from_cam(self, camera_frame: str, camera_stamp_ns: int, ego_stamp_ns: int) -> Tensor:
        return self._answer(float(camera_stamp_ns - ego_stamp_ns))

    def _answer(self, x: float) -> Tensor:
        self.asked += 1
        if not self.knows:
            raise PoseUnavailable("forgotten")
        pose = torch.eye(4, dtype=torch.float64)
        pose[0, 3] = x
        return pose


def image_set(frame_id: str = "optical") -> ImageSet[CompressedImage]:
    message = CompressedImage()
    message.header.frame_id = frame_id
    return ImageSet(100, 0.0, {"cam": StampedImage(97, 0.0, message)}, 0)


def test_learned_poses_outlive_their_source() -> None:
    source = FadingPoses()
    poses = RememberedPoses(source)
    poses.learn(image_set(), {})
    source.knows = False
    assert poses.global_from_ego(100)[0, 3] == 100
    assert poses.ego_from_cam("optical", 97, 100)[0, 3] == -3
    assert source.asked == 2
    with pytest.raises(PoseUnavailable):
        poses.global_from_ego(200)


def test_the_calibration_names_the_frame_where_the_image_does_not() -> None:
    source = FadingPoses()
    poses = RememberedPoses(source)
    info = CameraInfo()
    info.header.frame_id = "from_info"
    poses.learn(image_set(""), {"cam": info})
    source.knows = False
    assert poses.ego_from_cam("from_info", 97, 100)[0, 3] == -3


def test_what_was_unknown_is_asked_again() -> None:
    source = FadingPoses()
    source.knows = False
    poses = RememberedPoses(source)
    poses.learn(image_set(), {})
    source.knows = True
    assert poses.global_from_ego(100)[0, 3] == 100
