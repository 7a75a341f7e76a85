"""A frame refuses images and calibrations that do not belong together."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.core.conftest import MakeFrame


def test_image_size_must_match_the_calibration(make_frame: MakeFrame) -> None:
    frame = make_frame(2)
    images = (frame.images[0], torch.zeros(45, 80, 3, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"camera 'cam_1' is 80x45, .* for 160x90"):
        replace(frame, images=images)


def test_a_missing_cameras_image_is_not_looked_at(make_frame: MakeFrame) -> None:
    frame = make_frame(2)
    images = (frame.images[0], torch.zeros(0, 0, 3, dtype=torch.uint8))
    assert replace(frame, images=images, valid=(True, False)).valid == (True, False)


@pytest.mark.parametrize("focal", [0.0, -5.0, float("nan")])
def test_focal_length_must_be_positive(make_frame: MakeFrame, focal: float) -> None:
    frame = make_frame(1)
    intrinsics = frame.rig.intrinsics.clone()
    intrinsics[0, 0, 0] = focal
    with pytest.raises(ValueError, match="intrinsics of camera 'cam_0' need positive"):
        replace(frame, rig=replace(frame.rig, intrinsics=intrinsics))


def test_poses_must_be_finite(make_frame: MakeFrame) -> None:
    frame = make_frame(1)
    with pytest.raises(ValueError, match="global_from_ego holds a NaN"):
        replace(frame, global_from_ego=torch.full((4, 4), float("nan"), dtype=torch.float64))
    poses = torch.full((1, 4, 4), float("nan"))
    with pytest.raises(ValueError, match="pose of camera 'cam_0' holds a NaN"):
        replace(frame, rig=replace(frame.rig, ego_from_cam=poses))


def test_float_images_are_refused(make_frame: MakeFrame) -> None:
    frame = make_frame(1)
    with pytest.raises(ValueError, match=r"camera 'cam_0' must be uint8 \[H, W, 3\]"):
        replace(frame, images=(frame.images[0].float(),))
